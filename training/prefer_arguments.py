"""What preference tuning can be told, and how it maps to `transformers.TrainingArguments`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from chat.cli import UserError, check_numbers
from chat.decoding import check_seed, check_settings
from chat.model_files import PREFER_ARGUMENTS_FILE
from chat.published_paths import with_last_parts
from training.trainer_arguments import PRECISION_HELP, Precision, trainer_arguments

if TYPE_CHECKING:
    from transformers import TrainingArguments


@dataclass(frozen=True)
class PreferArguments:
    FILE: ClassVar[str] = PREFER_ARGUMENTS_FILE

    marks: str = field(metadata={"help": "File of marked replies, as JSON lines."})
    base: str = field(default="final_model", metadata={"help": "Chat model to tune: folder or Hub id."})
    data: str | None = field(
        default=None,
        metadata={
            "help": "Tokenised dataset of --base, folder or Hub id: its dialogues are learnt beside, so that "
            "what was learnt from people is kept."
        },
    )
    output_dir: str = field(
        default="runs/prefer", metadata={"help": "Folder of checkpoints and TensorBoard logs."}
    )
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
    resume: bool = field(
        default=False, metadata={"help": "Go on from the last whole checkpoint in --output-dir."}
    )
    temperature: float | None = field(
        default=None,
        metadata={
            "help": "Temperature at which the tuned model's replies are drawn, unless told otherwise (not "
            "given: that of --base)."
        },
    )
    top_p: float | None = field(
        default=None, metadata={"help": "Nucleus from which they are drawn (not given: that of --base)."}
    )
    beta: float = field(
        default=0.2, metadata={"help": "How much it costs to differ from --base: beta of the paper."}
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
    mixed_precision: Precision = field(default="no", metadata={"help": PRECISION_HELP})
    eval_every_steps: int = field(
        default=100, metadata={"help": "Optimizer steps between checks on the conversations that are kept."}
    )
    save_every_steps: int = field(default=200, metadata={"help": "Optimizer steps between checkpoints."})
    save_total_limit: int = field(default=2, metadata={"help": "Newest checkpoints that are kept."})
    log_every_steps: int = field(default=10, metadata={"help": "Optimizer steps between log lines."})
    seed: int = field(default=0, metadata={"help": "Decides what is held out, and the order of the rest."})

    def __post_init__(self):
        check_numbers(
            self,
            at_least_one=(
                "final_model_shard_mb",
                "per_device_train_batch_size",
                "places_per_dialogue",
                "eval_every_steps",
                "save_every_steps",
                "save_total_limit",
                "log_every_steps",
            ),
            above_zero=("beta", "learning_rate", "num_train_epochs"),
            not_negative=("warmup_steps", "length_weight", "reply_loss_weight", "data_loss_weight"),
        )
        check_seed(self.seed)
        check_settings({"temperature": self.temperature, "top_p": self.top_p})
        if self.calibrate and not self.data:
            raise UserError("--calibrate true: needs dialogues; give --data")
        if not 0 <= self.held_out_share < 1:
            raise UserError(f"--held-out-share {self.held_out_share}: give 0 to below 1, such as 0.1")

    def without_folders(self) -> PreferArguments:
        """The same with the last part of each path on this machine alone, to be published."""
        return with_last_parts(self, ("marks", "base", "data", "output_dir", "final_model_dir"))

    def to_training_arguments(self, with_evaluation: bool) -> TrainingArguments:
        """The same for `transformers.Trainer`; hardware and distribution come from `accelerate launch`."""
        return trainer_arguments(
            self,
            per_device_eval_batch_size=self.per_device_train_batch_size,
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
            eval_strategy="steps" if with_evaluation else "no",
            report_to="tensorboard",
        )
