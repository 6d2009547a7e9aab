"""The folder of a trained model: what it may hold, where it may lie, and how it comes there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError
from chat.folders import Contents, check_replaceable, check_writable, whole_folder
from training.resuming import AGAIN, is_first_process

if TYPE_CHECKING:
    from training.arguments import TrainArguments
    from training.prefer_arguments import PreferArguments


def model_folder_contents(marker: str) -> Contents:
    """What a trained model's folder may hold; no checkpoints, and no logs."""
    further = (
        "*.json *.jsonl *.safetensors *.bin *.txt *.model *.jinja *.md *.html *.png LICENSE onnx openvino"
    )
    return Contents(marker, (*further.split(),))


def check_place(arguments: TrainArguments | PreferArguments) -> None:
    """Raises UserError where the model could not be saved in the end, or would take the place of its run."""
    final_model_dir, output_dir = arguments.final_model_dir, arguments.output_dir
    check_replaceable(final_model_dir, model_folder_contents(arguments.FILE), "--final-model-dir")
    if Path(output_dir).is_file():
        raise UserError(f"--output-dir {output_dir}: is a file; give a folder")
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
