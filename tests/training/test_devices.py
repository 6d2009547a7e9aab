"""Where a run computes."""

import pytest
import torch

from training.devices import settle, uses_cpu


@pytest.mark.parametrize(
    ("has_accelerator", "told", "expected"), [(True, "", False), (True, "true", True), (False, "", True)]
)
def test_the_cpu_is_used_where_there_is_nothing_else_or_it_is_asked_for(
    has_accelerator, told, expected, monkeypatch
):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: has_accelerator)
    monkeypatch.setenv("ACCELERATE_USE_CPU", told)
    assert uses_cpu() is expected


def test_a_process_takes_one_gpu_of_several(tmp_path):
    """As on a machine with four, without `accelerate launch`."""
    from transformers import TrainingArguments

    arguments = TrainingArguments(str(tmp_path), use_cpu=True)
    assert arguments.n_gpu == 0
    arguments._n_gpu = 4
    settle(arguments)
    assert arguments.n_gpu == 1 and arguments.train_batch_size == arguments.per_device_train_batch_size
