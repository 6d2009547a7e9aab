"""Which checkpoints of a run are whole."""

from __future__ import annotations

import json
from pathlib import Path

STATE_FILE = "trainer_state.json"


def is_whole(checkpoint: Path) -> bool:
    """Whether saving this checkpoint came to its end.

    The Trainer writes the state last, so a checkpoint whose state can be read and names its own step is
    whole.
    """
    try:
        state = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
        return state["global_step"] == int(checkpoint.name.rpartition("-")[2])
    except (OSError, ValueError, KeyError):
        return False


def checkpoints(output_dir: str | Path) -> list[Path]:
    """The folder's checkpoints, whole or not, by step."""
    found = (path for path in Path(output_dir).glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit())
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def last_whole_checkpoint(output_dir: str | Path) -> Path | None:
    return next((path for path in reversed(checkpoints(output_dir)) if is_whole(path)), None)
