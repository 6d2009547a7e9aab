"""How a benchmark names the CPU that it ran on, and where it leaves its figures."""

from dataclasses import fields

import pytest
import torch

from benchmarks.chat_speed import SpeedArguments
from benchmarks.decoding_defaults import DecodingArguments
from benchmarks.pocket_experiments import ExperimentArguments
from benchmarks.prepare_throughput import BenchmarkArguments
from benchmarks.reports import describe_cpu
from benchmarks.train_throughput import ThroughputArguments
from benchmarks.training_memory import MemoryArguments


@pytest.mark.parametrize(
    "arguments",
    [
        SpeedArguments,
        DecodingArguments,
        ExperimentArguments,
        BenchmarkArguments,
        ThroughputArguments,
        MemoryArguments,
    ],
    ids=lambda arguments: arguments.__module__,
)
def test_the_figures_of_this_repository_are_neither_taken_nor_replaced_unasked(arguments):
    [output] = (each.default for each in fields(arguments) if each.name == "output")
    assert output is None or not output.startswith("benchmarks/results")


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
