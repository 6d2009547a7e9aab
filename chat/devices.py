"""The device that models run on, and the precision that it computes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Of x86 and ARM; any of them makes matrix products in bfloat16 fast.
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")


def fastest_device() -> torch.device:
    """The accelerator, if there is one, else the CPU."""
    import torch

    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16.

    Without them torch still takes it: on a CPU with AVX2 alone, matrix products are then about 90 times
    slower than in float32.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return any(has.get(name) for name in BFLOAT16_INSTRUCTIONS)


def uses_cpu() -> bool:
    """Whether there is no accelerator, or `accelerate launch` was told to leave it alone."""
    import torch
    from accelerate.utils import parse_flag_from_env

    return parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
