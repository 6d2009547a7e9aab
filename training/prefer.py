"""Tunes a chat model towards the replies that readers marked as good, away from those they marked as bad.

    accelerate launch -m training.prefer --marks marks.jsonl --base final_model
    accelerate launch -m training.prefer --marks marks.jsonl --base final_model --resume

Direct preference optimisation (Rafailov et al., 2023, https://arxiv.org/abs/2305.18290).
`training/preferences.py` says what a file of marks looks like.
"""

from __future__ import annotations

import itertools
import logging
import shutil
from typing import TYPE_CHECKING

import numpy as np

from chat.cli import UserError, parse_arguments, run
from chat.folders import sha256_of
from chat.hub.data import load_tokenized
from chat.hub.loading import check_ids, load_causal_lm, load_chat_tokenizer, model_folder, positions_of
from chat.model_files import PREFER_STATE_FILE, STATISTICS_FILE, TRAIN_ARGUMENTS_FILE, TRAINER_STATE_FILE
from chat.template import padding_id
from training import data_digest
from training.collator import PaddedCollator
from training.final_model import check_place, final_folder, save_state, save_weights
from training.prefer_arguments import PreferArguments
from training.preferences import Marks, encode_marks, hold_out, like_lengths_together, read_marks
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
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

    from training.preference_trainer import PreferenceTrainer

CALIBRATION_SEQUENCES = 400
logger = logging.getLogger(__name__)


def prefer(arguments: PreferArguments) -> PreferenceTrainer:
    """Tunes the model, resumes where asked, and saves it; returns the trainer.

    Where SIGTERM stopped it (`trainer.stopped_at_step`) there is a checkpoint and no tuned model.

    Raises:
        UserError: the marks or the model cannot be used, or the tuned model cannot be saved.
    """
    check_place(arguments)
    with alone(arguments.output_dir):
        if not arguments.resume:
            refuse_earlier_run(arguments.output_dir)
        arguments, checkpoint = going_on(arguments)
        trainer = build_trainer(arguments)
        check_and_save(trainer, arguments, checkpoint)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if trainer.stopped_at_step is None:
            if arguments.calibrate:
                calibrate(trainer, arguments)
            save_tuned_model(trainer, arguments)
    return trainer


def build_trainer(arguments: PreferArguments) -> PreferenceTrainer:
    """The trainer over the places that have replies of both kinds."""
    from transformers import set_seed
    from transformers.integrations import is_deepspeed_zero3_enabled

    from training.callbacks import RotateCheckpoints, StopOnSigterm
    from training.preference_trainer import PreferenceLoss, PreferenceTrainer, RepliesCollator

    marks = read_marks(arguments.marks)
    model, tokenizer = _load_base(arguments)
    learnt, held_out = _places(marks, arguments, tokenizer, model.config.max_position_embeddings)
    if arguments.data:
        _add_dialogues(learnt, arguments, tokenizer)
    _check_layout(model, [*learnt, *held_out], arguments, padding_id(tokenizer))
    training_arguments = arguments.to_training_arguments(with_evaluation=bool(held_out))
    if arguments.calibrate and is_deepspeed_zero3_enabled():
        raise UserError(
            "--calibrate true: ZeRO-3 divides the weights that it would change; leave it out, or launch with "
            "ZeRO-2 or FSDP"
        )
    _fill_up(learnt, training_arguments, padding_id(tokenizer))
    set_seed(arguments.seed)
    return PreferenceTrainer(
        model=model,
        args=training_arguments,
        loss=PreferenceLoss(arguments.beta, arguments.length_weight, arguments.reply_loss_weight),
        train_dataset=learnt,
        eval_dataset=held_out or None,
        data_loss_weight=arguments.data_loss_weight,
        data_digests=_digests(arguments),
        data_collator=RepliesCollator(padding_id(tokenizer), with_dialogues=bool(arguments.data)),
        processing_class=tokenizer,
        callbacks=[StopOnSigterm(), RotateCheckpoints(arguments.save_total_limit)],
    )


def _places(
    marks: list[Marks], arguments: PreferArguments, tokenizer: PreTrainedTokenizerBase, positions: int
) -> tuple[list[dict], list[dict]]:
    """What to learn from and to check with, each in the order of its batches.

    Raises:
        UserError: there is nothing to learn from.
    """
    learnt, held_out = (
        like_lengths_together(
            encode_marks(side, tokenizer, positions), arguments.per_device_train_batch_size, arguments.seed
        )
        for side in hold_out(marks, arguments.held_out_share, arguments.seed)
    )
    if not learnt:
        raise UserError(f"--marks {arguments.marks}: no pair is left to learn from; give more marks")
    if is_first_process():
        left_out = len(marks) - len(learnt) - len(held_out)
        logger.info(
            "--marks %s: %d conversations to learn from, %d to check with; %d left out, with replies of one "
            "kind only, or one longer than the model's positions",
            arguments.marks,
            len(learnt),
            len(held_out),
            left_out,
        )
    return learnt, held_out


def _load_base(arguments: PreferArguments) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The chat model to tune, drawn as asked, and its tokenizer.

    Raises:
        UserError: it is no chat model, lies beside another's tokenizer, has no number of positions, or cannot
            be calibrated as asked.
    """
    from training.calibration import last_norm

    tokenizer = load_chat_tokenizer(arguments.base, "--base")
    model = load_causal_lm(arguments.base, "--base")
    largest, embeddings = max(tokenizer.get_vocab().values()), model.get_input_embeddings().num_embeddings
    check_ids(largest, embeddings, arguments.base, "--base")
    positions_of(model.config, arguments.base, "--base")
    if arguments.calibrate:
        last_norm(model)
    for name in ("temperature", "top_p"):
        if (given := getattr(arguments, name)) is not None:
            setattr(model.generation_config, name, given)
    return model, tokenizer


def _check_layout(
    model: PreTrainedModel, places: list[dict], arguments: PreferArguments, pad_token_id: int
) -> None:
    """
    Raises:
        UserError: the model would see more or less of a conversation, or of another reply, than when it
            replies.
    """
    from chat.shared_context import reads_shared_contexts
    from training.preference_trainer import row_of

    if not reads_shared_contexts(model, [row_of(place) for place in places], pad_token_id):
        raise UserError(
            f"--base {arguments.base}: a {model.config.model_type} does not read replies that share a "
            "conversation as it reads each alone, so they cannot be compared; give a model of another kind, "
            "such as GPT-2 or Llama"
        )


def _add_dialogues(
    places: list[dict], arguments: PreferArguments, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Gives every so many-th place a training sequence of --data, again from the first where they run out."""
    with_one = places[:: arguments.places_per_dialogue]
    dialogues = _dialogues(arguments, tokenizer, "train", len(with_one))
    for place, sequence in zip(with_one, itertools.cycle(dialogues), strict=False):
        place["sequence"] = sequence


def _fill_up(places: list[dict], arguments: TrainingArguments, pad_token_id: int) -> None:
    """Gives every process as many places. Accelerate would take those of the epoch's beginning, which would
    count twice.
    """
    from training.preference_trainer import blank_place

    if arguments.world_size > 1:
        missing = -len(places) % (arguments.train_batch_size * arguments.world_size)
        places += [blank_place(pad_token_id)] * missing


def _dialogues(
    arguments: PreferArguments, tokenizer: PreTrainedTokenizerBase, split: str, number: int
) -> list[dict[str, list[int]]]:
    """Sequences of --data by the seed, none twice: so many, or all where there are fewer.

    Raises:
        UserError: they cannot be read, or were tokenised for another model.
    """
    dataset, its_tokenizer = load_tokenized(arguments.data)
    if its_tokenizer.get_vocab() != tokenizer.get_vocab():
        raise UserError(
            f"--data {arguments.data}: tokenised with another tokenizer than that of --base "
            f"{arguments.base}; give the dataset that it was fine-tuned on"
        )
    rows = dataset[split].with_format("numpy", columns=["input_ids", "labels"])
    chosen = np.random.default_rng(arguments.seed).permutation(len(rows))[:number]
    return [{name: ids.tolist() for name, ids in rows[int(index)].items()} for index in chosen]


def _digests(arguments: PreferArguments) -> dict[str, str]:
    """Of what the marks and the dialogues are, by their flags."""
    found = {"--marks": sha256_of(arguments.marks)}
    if arguments.data:
        found["--data"] = data_digest.of_dataset(load_tokenized(arguments.data)[0])
    return found


def calibrate(trainer: PreferenceTrainer, arguments: PreferArguments) -> None:
    """Makes the tuned model as sure of itself as validation dialogues of --data bear out."""
    from training.calibration import best_temperature, divide_logits

    tokenizer = trainer.processing_class
    sequences = _dialogues(arguments, tokenizer, "val", CALIBRATION_SEQUENCES)
    size = arguments.per_device_train_batch_size
    collate = PaddedCollator(padding_id(tokenizer), reply_logits_only=True)
    batches = [collate(sequences[start : start + size]) for start in range(0, len(sequences), size)]
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped).eval()
    logger.info("--calibrate true: looking for the best temperature, by %d dialogues", len(sequences))
    temperature = best_temperature(model, batches)
    divide_logits(model, temperature)
    trainer.log({"calibration_temperature": temperature})


def save_tuned_model(trainer: PreferenceTrainer, arguments: PreferArguments) -> None:
    """The tuned model as a chat model's folder: what `--base` says of its own training, and of this one."""
    state_dict = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return
    base = model_folder(arguments.base, "--base")
    with final_folder(arguments) as folder:
        save_weights(trainer, state_dict, folder, arguments.final_model_dtype, arguments.final_model_shard_mb)
        for name in (STATISTICS_FILE, TRAINER_STATE_FILE, TRAIN_ARGUMENTS_FILE):
            if (base / name).is_file():
                shutil.copyfile(base / name, folder / name)
        save_state(trainer.state, folder / PREFER_STATE_FILE)
        save(arguments.without_folders(), folder)
    logger.info("the tuned model is in %s", arguments.final_model_dir)


def main() -> None:
    exit_if_stopped(prefer(parse_arguments(PreferArguments, description=__doc__)))


if __name__ == "__main__":
    run(main)
