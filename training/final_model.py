"""A trained model's folder: where it may lie, and its weights as `from_pretrained` loads them."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError
from chat.folders import Contents, check_replaceable, check_writable, whole_folder
from chat.hub.loading import positions_of, without_bars
from training.resuming import AGAIN, is_first_process

if TYPE_CHECKING:
    import torch
    from transformers import Trainer
    from transformers.trainer_callback import TrainerState

    from training.arguments import TrainArguments
    from training.prefer_arguments import PreferArguments

# What `torch.compile` puts before the names of the weights.
COMPILED_PREFIX = "_orig_mod."


def model_folder_contents(marker: str) -> Contents:
    """What a trained model's folder may hold; no checkpoints, and no logs."""
    further = (
        "*.json *.jsonl *.safetensors *.bin *.txt *.model *.jinja *.md *.html *.png LICENSE onnx openvino"
    )
    return Contents(marker, (*further.split(),))


def check_place(arguments: TrainArguments | PreferArguments) -> None:
    """Raises UserError where the model could not be saved in the end, would take the place of its run, or the
    run would write its arguments over those of another model.
    """
    final_model_dir, output_dir = arguments.final_model_dir, arguments.output_dir
    check_replaceable(final_model_dir, model_folder_contents(arguments.FILE), "--final-model-dir")
    if Path(output_dir).is_file():
        raise UserError(f"--output-dir {output_dir}: is a file; give a folder")
    if Path(output_dir, "config.json").is_file():
        raise UserError(
            f"--output-dir {output_dir}: holds a model, and is to hold checkpoints; give another folder"
        )
    if Path(os.path.realpath(output_dir)).is_relative_to(os.path.realpath(final_model_dir)):
        raise UserError(
            f"--final-model-dir {final_model_dir}: would take the place of --output-dir {output_dir}; give "
            "another folder"
        )
    if is_first_process():
        check_writable(final_model_dir, "--final-model-dir")


@contextmanager
def final_folder(arguments: TrainArguments | PreferArguments) -> Iterator[Path]:
    """`whole_folder` for the trained model.

    Raises:
        UserError: as of that, and how the model is saved without the training.
    """
    try:
        contents = model_folder_contents(arguments.FILE)
        with whole_folder(arguments.final_model_dir, contents, "--final-model-dir") as folder:
            yield folder
    except UserError as error:
        raise UserError(f"{error}; the checkpoints are whole: {AGAIN}") from error


def save_weights(
    trainer: Trainer, state_dict: dict[str, torch.Tensor], folder: Path, dtype_name: str, shard_mb: int
) -> None:
    """Weights (safetensors), configuration, generation defaults, and tokenizer with template.

    Args:
        state_dict: of all processes, as `accelerator.get_state_dict` gathers it.
        dtype_name: torch's name of the number format of the files.
        shard_mb: largest file of weights, in MB.
    """
    import torch

    model = trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_torch_compile=False)
    model.config.use_cache = True
    dtype = getattr(torch, dtype_name)
    # Of tied weights one is written; gathered from several processes they are two tensors.
    state_dict = {
        of: weights.to(dtype)
        for name, weights in state_dict.items()
        if (of := name.removeprefix(COMPILED_PREFIX)) not in model.all_tied_weights_keys
    }
    with without_bars():
        model.save_pretrained(folder, state_dict=state_dict, max_shard_size=f"{shard_mb}MB")
    # `save_pretrained` noted the dtype of the model in memory, which is not that of the files.
    model.config.dtype = dtype
    model.config.save_pretrained(folder)
    # Whoever asks it to truncate gets what the model has positions for.
    trainer.processing_class.model_max_length = positions_of(model.config, str(folder))
    trainer.processing_class.save_pretrained(folder)
    # safetensors lets nobody but their owner read them, as a container with another user would.
    for path in folder.glob("*.safetensors"):
        shutil.copymode(folder / "config.json", path)


def save_state(state: TrainerState, file: Path) -> None:
    """What the run logged, and how far it came; the same bytes again from one that is resumed at its end."""
    # A model may be published, a disk not.
    best = state.best_model_checkpoint
    dataclasses.replace(
        state,
        best_model_checkpoint=best and Path(best).name,
        # Of this process alone, which may have taken no step.
        log_history=[entry for entry in state.log_history if "train_runtime" not in entry],
        # Only a run that goes on needs them.
        stateful_callbacks={},
    ).save_to_json(str(file))
