"""Tunes a chat model towards the replies that readers marked as good, away from those they marked as bad.

    accelerate launch -m training.prefer --marks marks.jsonl --base final_model

Direct preference optimisation (Rafailov et al., 2023, https://arxiv.org/abs/2305.18290).
`training/preferences.py` says what a file of marks looks like.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chat.cli import UserError, parse_arguments, run
from chat.decoding import TEMPERATURE_RANGE, TOP_P_RANGE
from chat.folders import check_replaceable, whole_folder

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from training.preference_trainer import PreferenceTrainer

ARGUMENTS_FILE = "prefer_arguments.json"
STATE_FILE = "prefer_state.json"
CALIBRATION_SEQUENCES = 400
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreferArguments:
    marks: str = field(metadata={"help": "File of marked replies, as JSON lines."})
    base: str = field(default="final_model", metadata={"help": "Chat model to tune: folder or Hub id."})
    data: str | None = field(
        default=None,
        metadata={
            "help": "Tokenised dataset of --base, folder or Hub id: its dialogues are learnt beside, so that "
            "what was learnt from people is kept."
        },
    )
    output_dir: str = field(default="runs/prefer", metadata={"help": "Folder of TensorBoard logs."})
    final_model_dir: str = field(
        default="preferred_model",
        metadata={"help": "Folder of the tuned model; an earlier one there is replaced."},
    )
    final_model_dtype: Literal["float32", "float16", "bfloat16"] = field(
        default="float32", metadata={"help": "Number format of the tuned model's weights on disk."}
    )
    final_model_shard_mb: int = field(
        default=5000, metadata={"help": "Largest file of the tuned model's weights, in MB."}
    )
    temperature: float | None = field(
        default=None,
        metadata={
            "help": "Temperature at which the tuned model's replies are drawn, unless one asks else (not "
            "given: that of --base)."
        },
    )
    top_p: float | None = field(
        default=None, metadata={"help": "Nucleus from which they are drawn (not given: that of --base)."}
    )
    beta: float = field(
        default=0.2, metadata={"help": "How dear it is to differ from --base: beta of the paper."}
    )
    length_weight: float = field(
        default=0.18,
        metadata={
            "help": "Log odds, a token, with which the shorter of two replies is expected to be the good "
            "one: what length explains is not learnt."
        },
    )
    reply_loss_weight: float = field(
        default=0.3, metadata={"help": "Weight of the good replies' cross-entropy beside the preference."}
    )
    data_loss_weight: float = field(
        default=1.0, metadata={"help": "Weight of the cross-entropy of --data beside the preference."}
    )
    places_per_dialogue: int = field(
        default=4, metadata={"help": "Conversations that wait for a reply, for each dialogue of --data."}
    )
    calibrate: bool = field(
        default=False,
        metadata={
            "help": "Divide the tuned model's logits, in its weights, by the temperature at which the "
            "validation dialogues of --data are likeliest: tuning makes a model too sure of itself."
        },
    )
    learning_rate: float = field(default=5e-5, metadata={"help": "Peak learning rate of AdamW."})
    num_train_epochs: float = field(default=1.0, metadata={"help": "Passes over the marks."})
    per_device_train_batch_size: int = field(
        default=16, metadata={"help": "Conversations that wait for a reply, per device and step."}
    )
    warmup_steps: int = field(default=20, metadata={"help": "Optimizer steps of linear warm-up."})
    held_out_share: float = field(
        default=0.1,
        metadata={"help": "Share of the conversations kept to check with, 0 to below 1."},
    )
    mixed_precision: Literal["no", "fp16", "bf16"] = field(
        default="no", metadata={"help": "Arithmetic under autocast. fp16 needs a GPU."}
    )
    log_every_steps: int = field(default=10, metadata={"help": "Optimizer steps between log lines."})
    seed: int = field(default=0, metadata={"help": "Decides what is held out, and the order of the rest."})

    def __post_init__(self):
        for name in (
            "beta",
            "learning_rate",
            "num_train_epochs",
            "per_device_train_batch_size",
            "places_per_dialogue",
        ):
            if getattr(self, name) <= 0:
                raise UserError(f"--{name.replace('_', '-')} {getattr(self, name)}: give a number above 0")
        for name, (low, high) in (("temperature", TEMPERATURE_RANGE), ("top_p", TOP_P_RANGE)):
            given = getattr(self, name)
            if given is not None and not low <= given <= high:
                raise UserError(f"--{name.replace('_', '-')} {given}: give {low} to {high}")
        if self.calibrate and not self.data:
            raise UserError("--calibrate true: needs dialogues; give --data")
        if not 0 <= self.held_out_share < 1:
            raise UserError(f"--held-out-share {self.held_out_share}: give 0 to below 1, such as 0.1")

    def without_folders(self) -> PreferArguments:
        """The same with the last part of each path on this machine alone, to be published."""
        paths = ("marks", "base", "data", "output_dir", "final_model_dir")
        given = {name: Path(getattr(self, name) or ".").expanduser() for name in paths}
        return replace(self, **{name: f"./{path.name}" for name, path in given.items() if path.is_absolute()})

    def to_training_arguments(self, with_evaluation: bool) -> TrainingArguments:
        """The same for `transformers.Trainer`; hardware and distribution come from `accelerate launch`."""
        import torch
        from transformers import TrainingArguments

        use_cpu = not torch.accelerator.is_available()
        if self.mixed_precision == "fp16" and use_cpu:
            raise UserError("--mixed-precision fp16: needs a GPU; give bf16 or no")
        return TrainingArguments(
            output_dir=self.output_dir,
            learning_rate=self.learning_rate,
            num_train_epochs=self.num_train_epochs,
            per_device_train_batch_size=self.per_device_train_batch_size,
            per_device_eval_batch_size=self.per_device_train_batch_size,
            warmup_steps=self.warmup_steps,
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
            bf16=self.mixed_precision == "bf16",
            fp16=self.mixed_precision == "fp16",
            eval_strategy="epoch" if with_evaluation else "no",
            save_strategy="no",
            prediction_loss_only=True,
            ddp_find_unused_parameters=False,
            logging_steps=self.log_every_steps,
            report_to="tensorboard",
            dataloader_pin_memory=not use_cpu,
            use_cpu=use_cpu,
            seed=self.seed,
            data_seed=self.seed,
        )


def prefer(arguments: PreferArguments) -> PreferenceTrainer:
    """Tunes the model and saves it; returns the trainer.

    Raises:
        UserError: the marks or the model cannot be used, or the tuned model cannot be saved.
    """
    check_replaceable(arguments.final_model_dir, ARGUMENTS_FILE, "--final-model-dir")
    trainer = build_trainer(arguments)
    trainer.train()
    if arguments.calibrate:
        calibrate(trainer, arguments)
    save_tuned_model(trainer, arguments)
    return trainer


def build_trainer(arguments: PreferArguments) -> PreferenceTrainer:
    """The trainer over the places that have replies of both kinds."""
    from transformers import set_seed

    from chat.hub.loading import load_causal_lm, load_tokenizer, positions_of
    from chat.template import has_chat_format
    from training.collator import padding_id
    from training.preference_trainer import PreferenceLoss, PreferenceTrainer, RepliesCollator
    from training.preferences import encode_marks, hold_out, like_lengths_together, read_marks
    from training.threads import use_all_cores

    marks = read_marks(arguments.marks)
    tokenizer = load_tokenizer(arguments.base, "--base")
    if not has_chat_format(tokenizer):
        raise UserError(
            f"--base {arguments.base}: no chat model, its tokenizer has no role tokens; fine-tune it first "
            "with `accelerate launch -m training.train`"
        )
    model = load_causal_lm(arguments.base, "--base")
    for name in ("temperature", "top_p"):
        if (given := getattr(arguments, name)) is not None:
            setattr(model.generation_config, name, given)
    positions = positions_of(model.config, arguments.base, "--base")
    learnt, held_out = (
        like_lengths_together(
            encode_marks(side, tokenizer, positions), arguments.per_device_train_batch_size, arguments.seed
        )
        for side in hold_out(marks, arguments.held_out_share, arguments.seed)
    )
    if not learnt:
        raise UserError(f"--marks {arguments.marks}: no pair is left to learn from; give more marks")
    if arguments.data:
        _add_dialogues(learnt, arguments)
    training_arguments = arguments.to_training_arguments(with_evaluation=bool(held_out))
    if training_arguments.use_cpu:
        use_all_cores()
    set_seed(arguments.seed)
    return PreferenceTrainer(
        model=model,
        args=training_arguments,
        loss=PreferenceLoss(arguments.beta, arguments.length_weight, arguments.reply_loss_weight),
        train_dataset=learnt,
        eval_dataset=held_out or None,
        data_loss_weight=arguments.data_loss_weight,
        data_collator=RepliesCollator(padding_id(tokenizer)),
        processing_class=tokenizer,
    )


def _add_dialogues(places: list[dict], arguments: PreferArguments) -> None:
    """Gives every so many-th place a training sequence of --data, drawn by the seed."""
    with_one = places[:: arguments.places_per_dialogue]
    for place, sequence in zip(with_one, _dialogues(arguments, "train", len(with_one)), strict=True):
        place["sequence"] = sequence


def _dialogues(arguments: PreferArguments, split: str, number: int) -> list[dict[str, list[int]]]:
    """Sequences of --data."""
    import numpy as np

    from chat.hub.loading import load_tokenized

    dataset, _ = load_tokenized(arguments.data)
    rows = dataset[split].with_format("numpy", columns=["input_ids", "labels"])
    chosen = np.random.default_rng(arguments.seed).choice(len(rows), number)
    return [{name: ids.tolist() for name, ids in rows[int(index)].items()} for index in chosen]


def calibrate(trainer: PreferenceTrainer, arguments: PreferArguments) -> None:
    """Makes the tuned model as sure of itself as validation dialogues of --data bear out."""
    from training.calibration import best_temperature, divide_logits
    from training.collator import PaddedCollator, padding_id

    sequences = _dialogues(arguments, "val", CALIBRATION_SEQUENCES)
    size = arguments.per_device_train_batch_size
    collate = PaddedCollator(padding_id(trainer.processing_class))
    batches = (collate(sequences[start : start + size]) for start in range(0, len(sequences), size))
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped).eval()
    temperature = best_temperature(model, batches)
    divide_logits(model, temperature)
    logger.info("calibrated: logits are divided by %.2f", temperature)


def save_tuned_model(trainer: PreferenceTrainer, arguments: PreferArguments) -> None:
    """The tuned model as a chat model's folder: what `--base` says of its own training, and of this one."""
    from chat.hub.loading import STATISTICS_FILE, model_folder
    from training.checkpoints import STATE_FILE as TRAINER_STATE_FILE
    from training.final_model import save_weights
    from training.resuming import ARGUMENTS_FILE as TRAIN_ARGUMENTS_FILE

    state_dict = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return
    base = model_folder(arguments.base, "--base")
    with whole_folder(arguments.final_model_dir, ARGUMENTS_FILE, "--final-model-dir") as folder:
        save_weights(trainer, state_dict, folder, arguments.final_model_dtype, arguments.final_model_shard_mb)
        for name in (STATISTICS_FILE, TRAINER_STATE_FILE, TRAIN_ARGUMENTS_FILE):
            if (base / name).is_file():
                shutil.copyfile(base / name, folder / name)
        trainer.state.save_to_json(str(folder / STATE_FILE))
        published = json.dumps(asdict(arguments.without_folders()), indent=2)
        (folder / ARGUMENTS_FILE).write_text(published + "\n", encoding="utf-8")
    logger.info("the tuned model is in %s", arguments.final_model_dir)


def main() -> None:
    prefer(parse_arguments(PreferArguments, description=__doc__.splitlines()[0]))


if __name__ == "__main__":
    run(main)
