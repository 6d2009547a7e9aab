"""What both trainings tell `transformers.Trainer` alike; `accelerate launch` tells it of the hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chat.devices import uses_cpu
from training.devices import usable_precision

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from training.arguments import TrainArguments
    from training.prefer_arguments import PreferArguments


def trainer_arguments(asked: TrainArguments | PreferArguments, **further: Any) -> TrainingArguments:
    """`TrainingArguments` by what was asked, and by `further` ones of its own."""
    from transformers import TrainingArguments

    use_cpu, precision = uses_cpu(), usable_precision(asked.mixed_precision)
    return TrainingArguments(
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
