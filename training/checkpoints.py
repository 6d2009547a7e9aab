"""The checkpoints of a run: which are whole, and which may go."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

from chat.cli import UserError, first_line
from chat.model_files import TRAINER_STATE_FILE

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer

DOOMED_PREFIX = ".deleting-"
# In a checkpoint: the id that its run got at its beginning.
RUN_FILE = "run.json"
# Where neither FSDP nor DeepSpeed divides it, in ways of their own.
OF_EVERY_CHECKPOINT = ("*.safetensors", "optimizer.pt", "scheduler.pt")


def is_whole(checkpoint: Path) -> bool:
    """Whether saving this checkpoint came to its end.

    The Trainer writes the state last, so a checkpoint whose state can be read and names its own step is
    whole.
    """
    try:
        state = json.loads((checkpoint / TRAINER_STATE_FILE).read_text(encoding="utf-8"))
        return state["global_step"] == step_of(checkpoint)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def run_id_of(checkpoint: Path) -> str | None:
    """By which no run goes on from another's checkpoints, or takes their place; None where none was noted."""
    file = checkpoint / RUN_FILE
    return json.loads(file.read_text(encoding="utf-8")).get("id") if file.is_file() else None


def checkpoints(output_dir: str | Path) -> list[Path]:
    """The folder's checkpoints, whole or not, by step."""
    found = (path for path in Path(output_dir).glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit())
    return sorted(found, key=step_of)


def last_whole_checkpoint(output_dir: str | Path) -> Path | None:
    return next((path for path in reversed(checkpoints(output_dir)) if is_whole(path)), None)


def discard_halves(output_dir: str | Path) -> None:
    """Removes what a killed run left half-written or half-deleted, so that it never counts."""
    halves = [path for path in checkpoints(output_dir) if not is_whole(path)]
    for path in (*halves, *Path(output_dir).glob(f"{DOOMED_PREFIX}*")):
        shutil.rmtree(path, ignore_errors=True)


def rotate(output_dir: str | Path, save_total_limit: int, best_step: int | None) -> None:
    """Deletes the oldest checkpoints beyond `save_total_limit`, never the one of `best_step`.

    A checkpoint is renamed before it is deleted: a kill in between leaves nothing that looks whole.
    """
    for path in checkpoints(output_dir)[:-save_total_limit]:
        if step_of(path) != best_step:
            _delete(path)


def rotate_parts(output_dir: str | Path, save_total_limit: int, step: int, best_step: int | None) -> None:
    """The same where another machine has the checkpoints: of those, the processes here have saved parts.

    On a disk that all machines share it deletes nothing: old checkpoints there are whole.

    Args:
        step: of the newest; parts of later steps are an earlier run's.
    """
    found = checkpoints(output_dir)
    kept = [path for path in found if step_of(path) <= step][-save_total_limit:]
    for path in found:
        if path in kept or step_of(path) == best_step:
            continue
        # It may go at this moment, by another process.
        with suppress(OSError):
            if not (path / TRAINER_STATE_FILE).exists():
                _delete(path)


def _delete(checkpoint: Path) -> None:
    doomed = checkpoint.with_name(f"{DOOMED_PREFIX}{checkpoint.name}")
    checkpoint.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def not_whole(checkpoint: Path, problem: str) -> UserError:
    return UserError(
        f"--resume: {checkpoint} is not whole ({problem}); remove it, and give the same command again"
    )


def check_undamaged(checkpoint: Path, trainer: Trainer) -> None:
    """Asks before anything is loaded: without its optimizer the Trainer goes on, with a new one and without
    a word. After a power failure a disk may have names of files that are empty.

    Raises:
        UserError: a file that a resume reads is missing or damaged.
    """
    if not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        for pattern in OF_EVERY_CHECKPOINT:
            if not any(checkpoint.glob(pattern)):
                raise not_whole(checkpoint, f"no {pattern}")
    for pattern, read in READ_BY.items():
        for file in sorted(checkpoint.glob(pattern)):
            try:
                read(file)
            except Exception as error:
                raise not_whole(checkpoint, f"{file.name}: {first_line(error)}") from error


def _read_json(file: Path) -> None:
    if not isinstance(json.loads(file.read_text(encoding="utf-8")), dict):
        raise TypeError("not an object of names and values")


def _read_archive(file: Path) -> None:
    with ZipFile(file):
        pass


def _read_weights(file: Path) -> None:
    from safetensors import safe_open

    with safe_open(file, framework="pt"):
        pass


# By pattern of their names: what tells whether files that a resume reads can be read.
READ_BY: dict[str, Callable[[Path], None]] = {
    "*.json": _read_json,
    "*.pt": _read_archive,
    "*.pth": _read_archive,
    "*.safetensors": _read_weights,
}


def check_same_model(checkpoint: Path, model: PreTrainedModel) -> None:
    """Raises UserError where the checkpoint's weights have other names or shapes than the model's."""
    from safetensors import safe_open

    file = checkpoint / "model.safetensors"
    if not file.is_file():
        return
    # ZeRO-3 leaves each process a part of the weights, which tell the shape of the whole.
    shapes = {
        name: tuple(getattr(weights, "ds_shape", weights.shape))
        for name, weights in model.state_dict(keep_vars=True).items()
    }
    with safe_open(file, framework="pt") as saved:
        for name in saved.keys():  # noqa: SIM118
            shape = tuple(saved.get_slice(name).get_shape())
            if shapes.get(name) != shape:
                raise UserError(
                    f"--resume: {checkpoint} is of another model than --base (`{name}` is {shape} there, "
                    f"{shapes.get(name, 'missing')} here); give its --base, or another --output-dir"
                )
