"""Which run a checkpoint is of, so that no run goes on from another's, or takes its place."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from chat.model_files import TRAINER_STATE_FILE

# In a checkpoint: the id that its run got at its beginning.
RUN_FILE = "run.json"


@dataclass(frozen=True)
class Run:
    """
    Attributes:
        id: None of a run that an older version began.
        log: what was logged at each step, as JSON.
    """

    id: str | None = None
    log: dict[int, str] = field(default_factory=dict)

    def may_be(self, other: Run) -> bool:
        """Whether both are one run. Where one has no id, the first step that both logged tells: its loss
        depends on seed, data and base, and every later checkpoint keeps it as it was written. Later steps are
        no sign, since a run may have gone on from one checkpoint on two machines.
        """
        if self.id and other.id:
            return self.id == other.id
        first = min(self.log.keys() & other.log.keys(), default=None)
        return first is None or self.log[first] == other.log[first]


def new_id() -> str:
    return uuid.uuid4().hex


def write_id(run_id: str | None, checkpoint: Path) -> None:
    """A run that began without an id gets none later, or it would be another run on each machine."""
    if run_id:
        (checkpoint / RUN_FILE).write_text(json.dumps({"id": run_id}) + "\n", encoding="utf-8")


def run_of(checkpoint: Path) -> Run:
    """The run of a checkpoint, of which the two files that identify it are enough."""
    found, state = _read(checkpoint / RUN_FILE), _read(checkpoint / TRAINER_STATE_FILE)
    steps = (entry for entry in state.get("log_history", []) if "loss" in entry)
    return Run(found.get("id"), {entry["step"]: json.dumps(entry) for entry in steps})


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
