"""Stages of a long evaluation: each result is kept when it is there, so that a killed run goes on."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class Stages:
    """Results of finished stages in a folder beside the output, for one set of settings.

    Args:
        output: the evaluation's output folder.
        settings: all that decides the figures, JSON-serialisable; other settings begin anew.
    """

    def __init__(self, output: str | Path, settings: dict):
        output = Path(output)
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        self.folder = output.parent / f".{output.name}.stages"
        if (self.folder / "settings").is_file() and (self.folder / "settings").read_text() == digest:
            logger.info("going on with an earlier run: %d stages are done", len(self._done()))
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / "settings").write_text(digest)

    def _done(self) -> list[Path]:
        return list(self.folder.glob("*.json"))

    def run(self, name: str, compute: Callable[[], Any]) -> Any:
        """The result of the stage: what was kept of it, else what `compute` gives, which is then kept."""
        path = self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
        result = compute()
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(result), encoding="utf-8")
        os.replace(unfinished, path)
        return json.loads(path.read_text(encoding="utf-8"))

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
