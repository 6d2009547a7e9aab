"""What a process computes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import TrainingArguments


def uses_cpu() -> bool:
    """Whether there is no accelerator, or `accelerate launch` was told to leave it alone."""
    import torch

    return os.environ.get("ACCELERATE_USE_CPU", "") == "true" or not torch.accelerator.is_available()


def settle(arguments: TrainingArguments) -> None:
    """One GPU for each process, or its share of the cores.

    The Trainer would divide the batches of one process over all GPUs by `torch.nn.DataParallel`, which cuts
    what `RepliesCollator` and `logits_to_keep` count by tokens as if it were rows.
    """
    arguments._n_gpu = min(arguments.n_gpu, 1)
    if arguments.use_cpu:
        _use_all_cores()


def _use_all_cores() -> None:
    """Undoes the one thread a process that `accelerate launch` sets (OMP_NUM_THREADS=1) when it starts one
    process.
    """
    import torch

    if "ACCELERATE_MIXED_PRECISION" not in os.environ:
        return
    processes_here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes_here))
