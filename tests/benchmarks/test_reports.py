"""How a benchmark names the CPU that it ran on."""

import pytest
import torch

from benchmarks.reports import describe_cpu


@pytest.mark.parametrize(
    ("instructions", "described"),
    [
        ({"cpu_name": "Zen 3", "avx2": True, "avx512_bf16": False}, "Zen 3 (avx2)"),
        ({"cpu_name": "Xeon", "avx2": True, "amx_bf16": True}, "Xeon (avx2, amx_bf16)"),
        ({"architecture": "aarch64", "neon": True, "bf16": True}, "aarch64 (neon, bf16)"),
    ],
)
def test_a_cpu_is_told_with_its_instructions(instructions, described, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    assert describe_cpu() == described


def test_this_machine_has_a_name():
    name, _, instructions = describe_cpu().partition(" (")
    assert name and instructions.endswith(")")
