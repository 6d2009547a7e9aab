"""The folder of a trained model: what it may hold, where it may lie, and how it comes there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chat.cli import UserError
from chat.folders import Contents, check_replaceable, check_writable, whole_folder
from training.resuming import AGAIN, is_first_process


def model_folder_contents(marker: str) -> Contents:
    """What a trained model's folder may hold; no checkpoints, and no logs."""
    further = (
        "*.json *.jsonl *.safetensors *.bin *.txt *.model *.jinja *.md *.html *.png LICENSE onnx openvino"
    )
    return Contents(marker, (*further.split(),))


def check_place(final_model_dir: str, output_dir: str, marker: str) -> None:
    """Raises UserError where the model could not be saved in the end, or would take the place of its run."""
    check_replaceable(final_model_dir, model_folder_contents(marker), "--final-model-dir")
    if Path(output_dir).is_file():
        raise UserError(f"--output-dir {output_dir}: is a file; give a folder")
    if Path(output_dir).resolve().is_relative_to(Path(final_model_dir).resolve()):
        raise UserError(
            f"--final-model-dir {final_model_dir}: would take the place of --output-dir {output_dir}; give "
            "another folder"
        )
    if is_first_process():
        check_writable(final_model_dir, "--final-model-dir")


@contextmanager
def final_folder(final_model_dir: str, marker: str) -> Iterator[Path]:
    """`whole_folder` for the trained model.

    Raises:
        UserError: as of that, and how the model is saved without the training.
    """
    try:
        with whole_folder(final_model_dir, model_folder_contents(marker), "--final-model-dir") as folder:
            yield folder
    except UserError as error:
        raise UserError(f"{error}; the checkpoints are whole: {AGAIN}") from error
