"""Whether a process computes on the CPU, and with how many threads."""

from __future__ import annotations

import os


def uses_cpu() -> bool:
    """Whether there is no accelerator, or `accelerate launch` was told to leave it alone."""
    import torch

    return os.environ.get("ACCELERATE_USE_CPU", "") == "true" or not torch.accelerator.is_available()


def use_all_cores() -> None:
    """Undoes the one thread a process that `accelerate launch` sets (OMP_NUM_THREADS=1) when it starts one
    process.
    """
    import torch

    if "ACCELERATE_MIXED_PRECISION" not in os.environ:
        return
    processes_here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes_here))
