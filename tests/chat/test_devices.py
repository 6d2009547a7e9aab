"""What a run computes on, and what that has instructions for."""

import pytest
import torch

from chat.devices import computes_in_bfloat16, uses_cpu


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ({"cpu_name": "Zen 3", "avx2": True, "avx512_bf16": False}, False),
        ({"cpu_name": "Xeon", "avx2": True, "amx_bf16": True}, True),
        ({"architecture": "aarch64", "neon": True, "bf16": True}, True),
    ],
)
def test_a_cpu_is_known_by_its_instructions(instructions, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    assert computes_in_bfloat16(torch.device("cpu")) is expected


def test_a_gpu_is_asked_for_what_it_does_not_imitate(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert not computes_in_bfloat16(torch.device("cuda"))


@pytest.mark.parametrize(
    ("has_accelerator", "told", "expected"),
    [
        (True, None, False),
        (True, "False", False),
        (True, "True", True),
        (True, "true", True),
        (False, None, True),
    ],
)
def test_the_cpu_is_used_where_there_is_nothing_else_or_it_is_asked_for(
    has_accelerator, told, expected, monkeypatch
):
    """Accelerate tells it as Python writes it: True."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: has_accelerator)
    monkeypatch.delenv("ACCELERATE_USE_CPU")
    if told:
        monkeypatch.setenv("ACCELERATE_USE_CPU", told)
    assert uses_cpu() is expected
