"""What a training run can be told, and how it maps to `transformers.TrainingArguments`."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from chat.cli import UserError, check_numbers
from chat.decoding import DecodingSettings, check_seed, check_settings
from chat.hub.repositories import Destination, check_tag_name
from chat.model_files import TRAIN_ARGUMENTS_FILE
from chat.published_paths import with_last_parts
from training.trainer_arguments import PRECISION_HELP, Precision, trainer_arguments

if TYPE_CHECKING:
    from transformers import TrainingArguments


@dataclass(frozen=True)
class TrainArguments:
    FILE: ClassVar[str] = TRAIN_ARGUMENTS_FILE

    data: str = field(
        default="tokenized_combined_dialog_data",
        metadata={"help": "Tokenised dataset of `python -m data_scripts.prepare`: folder or Hub id."},
    )
    base: str = field(
        default="openai-community/gpt2",
        metadata={
            "help": "Hub id or path of the base model, or a config .json to train from random weights."
        },
    )
    output_dir: str = field(
        default="runs/gpt2", metadata={"help": "Folder of checkpoints and TensorBoard logs."}
    )
    final_model_dir: str = field(
        default="final_model",
        metadata={"help": "Folder of the trained model; an earlier one there is replaced."},
    )
    final_model_dtype: Literal["float32", "float16", "bfloat16"] = field(
        default="float32", metadata={"help": "Number format of the trained model's weights on disk."}
    )
    final_model_shard_mb: int = field(
        default=5000, metadata={"help": "Largest file of the trained model's weights, in MB."}
    )
    temperature: float | None = field(
        default=None,
        metadata={
            "help": "Temperature at which the trained model's replies are drawn, unless told otherwise (not "
            f"given: that of a chat model as --base, else {DecodingSettings.temperature})."
        },
    )
    top_p: float | None = field(
        default=None,
        metadata={
            "help": "Nucleus from which they are drawn (not given: that of a chat model as --base, else "
            f"{DecodingSettings.top_p})."
        },
    )
    best_of: int | None = field(
        default=None,
        metadata={
            "help": "Replies of which the chat gives the best; 1 streams it (not given: that of a chat model "
            f"as --base, else {DecodingSettings.best_of})."
        },
    )
    resume: bool = field(
        default=False,
        metadata={
            "help": "Go on from the last whole checkpoint in --output-dir, or in the repository of "
            "--push-to-hub if that has a newer one."
        },
    )
    push_to_hub: str | None = field(
        default=None, metadata={"help": "Model on the Hub, USER/NAME, to push to; made if it is not there."}
    )
    hub_strategy: Literal["checkpoints", "end"] = field(
        default="checkpoints",
        metadata={
            "help": "checkpoints: push each when it is saved, to the branch `checkpoints`, and the trained "
            "model to `main`. end: the trained model alone."
        },
    )
    hub_every_minutes: float = field(
        default=0.0, metadata={"help": "Minutes between pushes of checkpoints, at least; the last is pushed."}
    )
    hub_public: bool = field(
        default=False, metadata={"help": "Let all see a repository that is made; private otherwise."}
    )
    hub_tag: str | None = field(
        default=None, metadata={"help": "Tag of the trained model on the Hub, such as v1."}
    )

    num_train_epochs: float = field(default=3.0, metadata={"help": "Passes over the training data."})
    max_steps: int = field(
        default=-1, metadata={"help": "Optimizer steps; overrides --num-train-epochs (-1: off)."}
    )
    per_device_train_batch_size: int = field(default=8, metadata={"help": "Sequences per device and step."})
    per_device_eval_batch_size: int = field(
        default=16, metadata={"help": "Sequences per device in evaluation."}
    )
    gradient_accumulation_steps: int = field(
        default=1, metadata={"help": "Micro-batches per optimizer step."}
    )
    batching: Literal["random", "grouped", "packed"] = field(
        default="random",
        metadata={
            "help": "random: sequences as they come, padded to the longest of the batch. grouped: sequences "
            "of about the same length together. packed: whole sequences packed into rows, with hardly any "
            "padding; batch sizes then count rows."
        },
    )
    packed_row_length: int = field(
        default=0, metadata={"help": "Tokens in a packed row (0: the longest sequence's)."}
    )

    optimizer: Literal["adamw", "muon"] = field(
        default="adamw",
        metadata={
            "help": "muon: Muon for the matrices inside the model and AdamW for the rest, which learns more "
            "from each token when a model is trained from random weights."
        },
    )
    learning_rate: float = field(default=5e-5, metadata={"help": "Peak learning rate."})
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = field(
        default="linear", metadata={"help": "Learning rate schedule after the warm-up."}
    )
    warmup_steps: int = field(default=0, metadata={"help": "Optimizer steps of linear warm-up."})
    weight_decay: float = field(default=0.0, metadata={"help": "Decoupled weight decay."})
    max_grad_norm: float = field(default=1.0, metadata={"help": "Gradients are clipped to this norm."})
    mixed_precision: Precision = field(default="no", metadata={"help": PRECISION_HELP})
    attn_implementation: Literal["sdpa", "flash_attention_2", "eager"] = field(
        default="sdpa",
        metadata={"help": "Attention kernels; flash_attention_2 needs the flash-attn package."},
    )
    torch_compile: bool = field(
        default=False, metadata={"help": "Compile the model: slower to start, faster per step on a GPU."}
    )
    gradient_checkpointing: bool = field(
        default=False,
        metadata={"help": "Compute activations twice instead of keeping them: less memory, more time."},
    )

    eval_every_steps: int = field(default=5000, metadata={"help": "Optimizer steps between evaluations."})
    max_eval_sequences: int = field(
        default=0, metadata={"help": "Validation sequences to evaluate on, drawn by --seed (0: all)."}
    )
    save_every_steps: int = field(default=10000, metadata={"help": "Optimizer steps between checkpoints."})
    log_every_steps: int = field(default=50, metadata={"help": "Optimizer steps between log lines."})
    save_total_limit: int = field(
        default=2, metadata={"help": "Newest checkpoints that are kept, and beside them always the best."}
    )
    early_stopping_patience: int = field(
        default=0,
        metadata={"help": "Stop after this many evaluations in a row without a lower loss (0: never)."},
    )
    tensorboard: bool = field(default=True, metadata={"help": "Write TensorBoard logs to --output-dir."})
    trackio: bool = field(default=False, metadata={"help": "Log to Trackio too (pip install trackio)."})
    sample_prompts: list[str] = field(
        default_factory=lambda: [
            "Hi! How are you today?",
            "Do you have any pets?",
            "What do you do for work?",
            "Tell me about your family.",
        ],
        metadata={"help": "Messages that the model answers at every evaluation, in TensorBoard."},
    )
    dataloader_num_workers: int = field(default=0, metadata={"help": "Processes that collate batches."})
    seed: int = field(default=0, metadata={"help": "Seed of weights, order of the data and dropout."})

    def __post_init__(self):
        check_numbers(
            self,
            at_least_one=(
                "per_device_train_batch_size",
                "per_device_eval_batch_size",
                "gradient_accumulation_steps",
                "eval_every_steps",
                "save_every_steps",
                "log_every_steps",
                "save_total_limit",
                "final_model_shard_mb",
            ),
            above_zero=("num_train_epochs", "learning_rate"),
            not_negative=(
                "max_eval_sequences",
                "early_stopping_patience",
                "packed_row_length",
                "warmup_steps",
                "dataloader_num_workers",
                "hub_every_minutes",
                "weight_decay",
                "max_grad_norm",
            ),
        )
        check_seed(self.seed)
        if (self.batching, self.attn_implementation) == ("packed", "flash_attention_2") and (
            self.per_device_train_batch_size != 1
        ):
            # transformers looks for borders in the positions of a row that comes alone.
            raise UserError(
                "--attn-implementation flash_attention_2: keeps packed dialogues apart in batches of one row "
                "only; give --per-device-train-batch-size 1 with a longer --packed-row-length, or --batching "
                "grouped"
            )
        check_settings(self.decoding())
        if self.max_steps == 0:
            raise UserError("--max-steps 0: give at least 1, or -1 to train for --num-train-epochs")
        self._check_push()

    def _check_push(self) -> None:
        for name in ("hub_public", "hub_tag"):
            if getattr(self, name) and not self.push_to_hub:
                raise UserError(
                    f"--{name.replace('_', '-')}: tells how to push; give --push-to-hub USER/NAME, too"
                )
        self.destination()
        if self.hub_tag is not None:
            check_tag_name(self.hub_tag)

    def destination(self) -> Destination | None:
        """Where the run is pushed to, if it is."""
        if not self.push_to_hub:
            return None
        return Destination(self.push_to_hub, public=self.hub_public)

    def decoding(self) -> dict[str, float | None]:
        """What was given of the trained model's decoding defaults."""
        return {"temperature": self.temperature, "top_p": self.top_p, "best_of": self.best_of}

    def without_folders(self) -> TrainArguments:
        """The same with the last part of each path on this machine alone, to be published."""
        return with_last_parts(self, ("data", "base", "output_dir", "final_model_dir"))

    def to_training_arguments(self) -> TrainingArguments:
        """The same for `transformers.Trainer`; hardware and distribution come from `accelerate launch`."""
        from transformers.utils import is_torch_tf32_available

        if self.trackio and importlib.util.find_spec("trackio") is None:
            raise UserError(
                "--trackio: not installed; install it with `pip install trackio`, or leave it out"
            )
        arguments = trainer_arguments(
            self,
            max_steps=self.max_steps,
            per_device_eval_batch_size=self.per_device_eval_batch_size,
            gradient_accumulation_steps=self.gradient_accumulation_steps,
            lr_scheduler_type=self.lr_scheduler_type,
            weight_decay=self.weight_decay,
            max_grad_norm=self.max_grad_norm,
            tf32=True if is_torch_tf32_available() else None,
            torch_compile=self.torch_compile,
            activation_checkpointing=self.gradient_checkpointing,
            eval_strategy="steps",
            metric_for_best_model="eval_loss",
            greater_is_better=False,
            logging_first_step=True,
            # TensorBoard is written by `SampleReplies`.
            report_to=["trackio"] if self.trackio else [],
            dataloader_num_workers=self.dataloader_num_workers,
        )
        # Set afterwards, unchecked against the cadences: the best model is saved whenever it is found.
        arguments.load_best_model_at_end = True
        return arguments
