"""Where a run computes."""

import os

import pytest
import torch

from training.arguments import TrainArguments
from training.trainer_arguments import settle, usable_precision


def test_a_process_takes_one_gpu_of_several(tmp_path):
    """As on a machine with four, without `accelerate launch`."""
    from transformers import TrainingArguments

    arguments = TrainingArguments(str(tmp_path), use_cpu=True)
    assert arguments.n_gpu == 0
    arguments._n_gpu = 4
    settle(arguments)
    assert arguments.n_gpu == 1 and arguments.train_batch_size == arguments.per_device_train_batch_size


@pytest.mark.parametrize(("cores", "processes", "threads"), [(8, 1, 8), (8, 2, 4), (2, 4, 1)])
def test_processes_share_the_cores_that_are_left_to_them(tmp_path, monkeypatch, cores, processes, threads):
    """As by `taskset`, of a machine with 64."""
    used = []
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    TrainArguments(output_dir=str(tmp_path)).to_training_arguments()
    assert used == [threads]


@pytest.mark.parametrize(
    ("asked", "instructions", "expected", "said"),
    [
        ("no", {}, "no", ""),
        ("fp16", {"amx_bf16": True}, "no", "--mixed-precision fp16: needs a GPU; this run is on the CPU"),
        ("bf16", {"amx_bf16": True}, "bf16", ""),
        ("bf16", {"bf16": True, "architecture": "aarch64"}, "bf16", ""),
        ("bf16", {"avx2": True, "avx512_bf16": False}, "no", "--mixed-precision bf16: this CPU has no inst"),
    ],
)
def test_a_cpu_trains_in_what_it_has_instructions_for(
    asked, instructions, expected, said, caplog, monkeypatch
):
    """bfloat16 without them takes some ninety times as long."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    assert usable_precision(asked) == expected
    assert caplog.text.count("--mixed-precision") == bool(said) and said in caplog.text
