"""Trains a model on a tokenised dialogue dataset.

    accelerate launch -m training.train --config training/configs/gpt2.yaml
    accelerate launch -m training.train --config training/configs/gpt2.yaml --resume

Checkpoints and TensorBoard logs go to --output-dir, the trained model to --final-model-dir, from where
`AutoModelForCausalLM.from_pretrained` loads it without any code of ours.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError, parse_arguments, run
from chat.folders import check_replaceable, whole_folder
from training.arguments import TrainArguments
from training.checkpoints import checkpoints, last_whole_checkpoint

if TYPE_CHECKING:
    from transformers import Trainer

logger = logging.getLogger(__name__)
FINAL_MODEL_MARKER = "train_arguments.json"


def train(arguments: TrainArguments) -> Trainer:
    """Trains, resumes where asked, and saves the final model; returns the finished trainer."""
    checkpoint = _starting_checkpoint(arguments)
    check_replaceable(arguments.final_model_dir, FINAL_MODEL_MARKER, "--final-model-dir")
    trainer = build_trainer(arguments)
    if checkpoint:
        logger.info("resuming from %s", checkpoint)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    save_final_model(trainer, arguments)
    return trainer


def build_trainer(arguments: TrainArguments) -> Trainer:
    """The Trainer over our data, collator and model."""
    from transformers import Trainer, set_seed

    from chat.hub import load_tokenized, load_tokenizer
    from training.collator import DialogueCollator
    from training.model import build_model

    dataset = load_tokenized(arguments.data)
    tokenizer = load_tokenizer(str(Path(arguments.data) / "tokenizer"), "--data")
    training_arguments = arguments.to_training_arguments()
    if training_arguments.use_cpu:
        _use_all_cores()
    set_seed(arguments.seed)
    model = build_model(arguments.base, tokenizer, longest_sequence=max(dataset["train"]["length"]))
    return Trainer(
        model=model,
        args=training_arguments,
        train_dataset=dataset["train"],
        eval_dataset=dataset["val"],
        data_collator=DialogueCollator(tokenizer.pad_token_id),
        processing_class=tokenizer,
    )


def _use_all_cores() -> None:
    """Undoes the one thread a process that `accelerate launch` sets (OMP_NUM_THREADS=1) when it starts one
    process.
    """
    import torch

    processes_here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes_here))


def _starting_checkpoint(arguments: TrainArguments) -> Path | None:
    """The checkpoint to resume from, or None to start at the beginning.

    Raises:
        UserError: there are checkpoints but --resume was not given.
    """
    if not arguments.resume:
        if checkpoints(arguments.output_dir):
            raise UserError(
                f"--output-dir {arguments.output_dir}: holds checkpoints of an earlier run; go on with it by "
                "--resume, or give another folder"
            )
        return None
    checkpoint = last_whole_checkpoint(arguments.output_dir)
    if checkpoint is None:
        logger.warning(
            "--resume: no whole checkpoint in %s, starting from the beginning", arguments.output_dir
        )
    return checkpoint


def save_final_model(trainer: Trainer, arguments: TrainArguments) -> None:
    """Weights (safetensors), tokenizer with chat template, generation defaults, the run's arguments."""
    state_dict = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return
    with whole_folder(arguments.final_model_dir, FINAL_MODEL_MARKER, "--final-model-dir") as folder:
        model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        model.config.use_cache = True
        model.save_pretrained(folder, state_dict=state_dict)
        trainer.processing_class.save_pretrained(folder)
        (folder / FINAL_MODEL_MARKER).write_text(
            json.dumps(asdict(arguments), indent=2) + "\n", encoding="utf-8"
        )
    logger.info("the model is in %s", arguments.final_model_dir)


def main() -> None:
    train(parse_arguments(TrainArguments, description=__doc__.splitlines()[0]))


if __name__ == "__main__":
    run(main)
