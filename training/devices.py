"""What a process computes on."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Literal

from chat.devices import computes_in_bfloat16, uses_cpu

if TYPE_CHECKING:
    from transformers import TrainingArguments

Precision = Literal["no", "fp16", "bf16"]
PRECISION_HELP = (
    "Arithmetic under autocast. A CPU that lacks it, as all lack fp16, says so and takes float32."
)

logger = logging.getLogger(__name__)


def usable_precision(asked: Precision) -> Precision:
    """What to train in: float32 instead of what this CPU has no instructions for, which is said."""
    import torch

    if asked == "no":
        return asked
    if uses_cpu():
        if asked == "bf16" and computes_in_bfloat16(torch.device("cpu")):
            return asked
        lack = "needs a GPU" if asked == "fp16" else "this CPU has no instructions for it"
        logger.warning("--mixed-precision %s: %s; this run is on the CPU, in float32", asked, lack)
        return "no"
    device = torch.accelerator.current_accelerator()
    if asked == "bf16" and device.type == "cuda" and not computes_in_bfloat16(device):
        logger.warning("--mixed-precision bf16: this GPU only imitates it, slowly; fp16 is what it has")
    return asked


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
    process. Schedulers and containers may leave a process fewer cores than there are.
    """
    import torch

    if "ACCELERATE_MIXED_PRECISION" not in os.environ:
        return
    processes_here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    torch.set_num_threads(max(1, cores // processes_here))
