"""What a device has instructions for."""

import pytest
import torch

from chat.devices import computes_in_bfloat16


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
