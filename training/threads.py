"""How many threads a process computes with on the CPU."""

from __future__ import annotations

import os


def use_all_cores() -> None:
    """Undoes the one thread a process that `accelerate launch` sets (OMP_NUM_THREADS=1) when it starts one
    process.
    """
    import torch

    if "ACCELERATE_MIXED_PRECISION" not in os.environ:
        return
    processes_here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes_here))
