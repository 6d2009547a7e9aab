"""What both trainings tell `transformers.Trainer` alike; `accelerate launch` tells it of the hardware."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Literal

from chat.devices import computes_in_bfloat16, uses_cpu

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from training.arguments import TrainArguments
    from training.prefer_arguments import PreferArguments

Precision = Literal["no", "fp16", "bf16"]
PRECISION_HELP = (
    "Arithmetic under autocast. A CPU that lacks it, as all lack fp16, says so and takes float32."
)

logger = logging.getLogger(__name__)


def trainer_arguments(asked: TrainArguments | PreferArguments, **further: Any) -> TrainingArguments:
    """`TrainingArguments` by what was asked, and by `further` ones of its own."""
    from transformers import TrainingArguments

    use_cpu, precision = uses_cpu(), usable_precision(asked.mixed_precision)
    arguments = TrainingArguments(
        output_dir=asked.output_dir,
        num_train_epochs=asked.num_train_epochs,
        per_device_train_batch_size=asked.per_device_train_batch_size,
        learning_rate=asked.learning_rate,
        warmup_steps=asked.warmup_steps,
        fp16=precision == "fp16",
        bf16=precision == "bf16",
        eval_steps=asked.eval_every_steps,
        save_strategy="steps",
        save_steps=asked.save_every_steps,
        logging_steps=asked.log_every_steps,
        # A loss that is no number would be logged as 0.
        logging_nan_inf_filter=False,
        log_level_replica="error",
        prediction_loss_only=True,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=not use_cpu,
        use_cpu=use_cpu,
        seed=asked.seed,
        data_seed=asked.seed,
        **further,
    )
    settle(arguments)
    return arguments


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
