"""In which number formats a device computes, rather than imitates them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16.

    Without them torch still takes it: on a CPU with AVX2 alone, matrix products are then about 90 times
    slower than in float32.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return any(has.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
