"""Trains a model on a tokenised dialogue dataset.

    accelerate launch -m training.train --config training/configs/gpt2.yaml
    accelerate launch -m training.train --config training/configs/gpt2.yaml --resume
    accelerate launch -m training.train --config training/configs/gpt2.yaml --push-to-hub user/chat

Checkpoints and TensorBoard logs go to --output-dir, the trained model to --final-model-dir, from where
`AutoModelForCausalLM.from_pretrained` loads it without any code of ours.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chat.cli import UserError, parse_arguments, run
from chat.hub.data import load_tokenized
from chat.hub.loading import statistics_file
from chat.hub.publishing import ATTEMPTS
from chat.model_files import STATISTICS_FILE, TRAINER_STATE_FILE
from chat.template import padding_id
from training import data_digest
from training.arguments import TrainArguments
from training.collator import PackedCollator, PaddedCollator
from training.final_model import check_place, final_folder, save_state, save_weights
from training.model import build_model
from training.packing import PackedRows, reads_packed_rows
from training.resuming import (
    alone,
    check_and_save,
    exit_if_stopped,
    going_on,
    is_first_process,
    refuse_earlier_run,
    save,
)

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from chat.hub.repositories import Destination
    from training.push_checkpoints import PushCheckpoints
    from training.trainer import DialogueTrainer

ATTEMPTS_IN_HASTE = 2
logger = logging.getLogger(__name__)


def train(arguments: TrainArguments) -> DialogueTrainer:
    """Trains, resumes where asked, and saves the best model; returns the trainer.

    Where SIGTERM stopped it (`trainer.stopped_at_step`) there is a checkpoint and no final model.

    Raises:
        UserError: the run cannot begin, or cannot save, or its model could not be pushed to the Hub.
    """
    check_place(arguments)
    with alone(arguments.output_dir):
        if not arguments.resume:
            refuse_earlier_run(arguments.output_dir)
        destination = arguments.destination()
        is_ours = bool(destination) and _begin_on_hub(arguments, destination)
        arguments, checkpoint = going_on(arguments)
        trainer = build_trainer(arguments)
        check_and_save(trainer, arguments, checkpoint)
        with _pushed_checkpoints(trainer, arguments, destination, checkpoint, is_ours) as pushes:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            if trainer.stopped_at_step is None:
                save_final_model(trainer, arguments)
        if destination and trainer.stopped_at_step is None and trainer.is_world_process_zero():
            from training.hub import publish_final_model

            # That of the weights: the best checkpoint's, where there was an evaluation.
            step = trainer.state.best_global_step or trainer.state.global_step
            publish_final_model(arguments, destination, pushes.has_begun if pushes else is_ours, step)
    return trainer


def _begin_on_hub(arguments: TrainArguments, destination: Destination) -> bool:
    """As `training.hub.begin`, which is the first process's; False in the others, which push nothing."""
    from accelerate.utils import get_cpu_distributed_information

    from training.hub import begin

    is_ours = is_first_process() and begin(arguments, destination)
    if get_cpu_distributed_information().world_size > 1:
        # The others must not look for checkpoints before they are there.
        arguments.to_training_arguments().distributed_state.wait_for_everyone()
    return is_ours


@contextmanager
def _pushed_checkpoints(
    trainer: DialogueTrainer,
    arguments: TrainArguments,
    destination: Destination | None,
    resumed: Path | None,
    is_ours: bool,
) -> Iterator[PushCheckpoints | None]:
    """Pushes checkpoints while the block runs, if that is asked for, and at its end what is left of them."""
    is_asked = destination and arguments.hub_strategy == "checkpoints" and trainer.is_world_process_zero()
    if not is_asked:
        yield None
        return
    from training.push_checkpoints import PushCheckpoints

    pushes = PushCheckpoints(destination, arguments.output_dir, arguments.hub_every_minutes, resumed, is_ours)
    trainer.add_callback(pushes)
    try:
        yield pushes
    except UserError:
        pushes.close(attempts=1)
        raise
    pushes.close(attempts=ATTEMPTS_IN_HASTE if trainer.stopped_at_step else ATTEMPTS)


def build_trainer(arguments: TrainArguments) -> DialogueTrainer:
    """The trainer over our data, collators, model and callbacks."""
    from transformers import set_seed

    from chat.layouts import takes_logits_to_keep
    from training.callbacks import RotateCheckpoints, SampleReplies, StopEarly, StopOnSigterm
    from training.trainer import DialogueTrainer

    dataset, tokenizer = load_tokenized(arguments.data)
    training_arguments = arguments.to_training_arguments()
    set_seed(arguments.seed)
    lengths = np.asarray(dataset["train"].with_format("numpy")["length"][:])
    model = build_model(
        arguments.base,
        tokenizer,
        int(lengths.max()),
        arguments.attn_implementation,
        arguments.decoding(),
    )
    some_logits = takes_logits_to_keep(model) and not arguments.torch_compile
    callbacks = [StopOnSigterm(), RotateCheckpoints(arguments.save_total_limit)]
    if arguments.tensorboard:
        callbacks.append(SampleReplies(arguments.sample_prompts))
    if arguments.early_stopping_patience:
        callbacks.append(StopEarly(arguments.early_stopping_patience))
    return DialogueTrainer(
        model=model,
        args=training_arguments,
        **_batches(
            arguments, dataset["train"], lengths, tokenizer, model, some_logits, training_arguments.world_size
        ),
        eval_dataset=_drawn(dataset["val"], arguments.max_eval_sequences, arguments.seed),
        eval_collator=PaddedCollator(padding_id(tokenizer), some_logits),
        data_digests={"--data": data_digest.of_dataset(dataset)},
        processing_class=tokenizer,
        callbacks=callbacks,
        optimizer=arguments.optimizer,
    )


def _batches(
    arguments: TrainArguments,
    dataset: Dataset,
    lengths: np.ndarray,
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    some_logits: bool,
    processes: int,
) -> dict[str, Any]:
    """Training data, its order and its collator, by `--batching`."""
    from training.sampler import EpochSampler, SingleRows

    if arguments.batching == "packed":
        longest = int(lengths.max())
        if 0 < arguments.packed_row_length < longest:
            raise UserError(
                f"--packed-row-length {arguments.packed_row_length}: --data has a sequence of {longest} "
                f"tokens; give at least {longest}, or 0"
            )
        rows = PackedRows(dataset, lengths, arguments.packed_row_length or longest, arguments.seed)
        collate = PackedCollator(tokenizer.eos_token_id, rows.row_length, some_logits)
        if not reads_packed_rows(model, rows, collate):
            raise UserError(
                f"--batching packed: a {model.config.model_type} with --attn-implementation "
                f"{arguments.attn_implementation} does not keep the dialogues of a row apart; give "
                "--batching grouped"
            )
        return {
            "train_dataset": rows,
            "sampler": EpochSampler(len(rows), arguments.seed),
            "data_collator": collate,
        }
    grouped = arguments.batching == "grouped"
    together = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps * processes
    return {
        "train_dataset": SingleRows(dataset),
        "sampler": EpochSampler(
            len(dataset), arguments.seed, lengths.tolist() if grouped else None, together
        ),
        "data_collator": PaddedCollator(padding_id(tokenizer), some_logits),
    }


def _drawn(dataset: Dataset, limit: int, seed: int) -> Dataset:
    """At most `limit` sequences (0: all)."""
    if not 0 < limit < len(dataset):
        return dataset
    chosen = np.random.default_rng(seed).choice(len(dataset), limit, replace=False)
    return dataset.select(np.sort(chosen))


def save_final_model(trainer: DialogueTrainer, arguments: TrainArguments) -> None:
    """Weights (safetensors), tokenizer with template, generation defaults, the run's arguments and log, and
    the statistics of its data."""
    state_dict = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return
    with final_folder(arguments) as folder:
        save_weights(trainer, state_dict, folder, arguments.final_model_dtype, arguments.final_model_shard_mb)
        save_state(trainer.state, folder / TRAINER_STATE_FILE)
        save(arguments.without_folders(), folder)
        if statistics := statistics_file(arguments.data):
            shutil.copyfile(statistics, folder / STATISTICS_FILE)
    logger.info("the model is in %s", arguments.final_model_dir)


def main() -> None:
    arguments = parse_arguments(TrainArguments, description=__doc__)
    exit_if_stopped(train(arguments))


if __name__ == "__main__":
    run(main)
