"""Stages of a long evaluation: each result is kept when it is there, so that a killed run goes on."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chat.cli import UserError
from chat.folders import not_writable, write_whole
from data_scripts.fingerprint import checksum_of
from eval.processes import by_first, this_process

ROOT = Path(__file__).parent.parent
CODE = ("chat/*.py", "chat/hub/*.py", "eval/**/*.py")
logger = logging.getLogger(__name__)


def checksum_of_code() -> str:
    """A checksum of the code from which figures come, and which another version may have changed."""
    return checksum_of(sorted(path for pattern in CODE for path in ROOT.glob(pattern)), ROOT)


class Stages:
    """Results of finished stages in a folder beside the output, for one set of settings and one of our code.

    Of several processes the main one alone reads and writes them, and tells the others what it found.

    Args:
        output: the evaluation's output folder.
        settings: all that decides the figures, JSON-serialisable; other settings begin anew.

    Raises:
        UserError: they cannot be written there.
    """

    def __init__(self, output: str | Path, settings: dict):
        self._output = output = Path(output)
        self.folder = output.parent / f".{output.name}.stages"
        self._is_main = this_process().is_main_process
        if self._is_main:
            settled = json.dumps([settings, checksum_of_code()], sort_keys=True)
            self._begin(hashlib.sha256(settled.encode()).hexdigest())

    def _begin(self, digest: str) -> None:
        if (self.folder / "settings").is_file() and (self.folder / "settings").read_text() == digest:
            done = len(list(self.folder.glob("*.json")))
            logger.info("going on with an earlier run: %d stages are done", done)
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.mkdir(parents=True)
            (self.folder / "settings").write_text(digest)
        except OSError as error:
            raise not_writable(self._output, "--output", error) from None

    def run(self, name: str, compute: Callable[[], Any]) -> Any:
        """The result of the stage: what was kept of it, else what `compute` gives, which is then kept.

        Raises:
            UserError: it cannot be kept.
        """
        path = self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
        kept = by_first(lambda: path.read_text(encoding="utf-8") if path.is_file() else None)
        if kept is None:
            kept = json.dumps(compute())
            if self._is_main:
                self._keep(path, kept)
        return json.loads(kept)

    def _keep(self, path: Path, result: str) -> None:
        try:
            write_whole(path, result.encode())
        except OSError as error:
            raise UserError(
                f"--output {self._output}: results cannot be kept beside it ({error.strerror}); make room, "
                "and give the same command again, which goes on with those that were kept"
            ) from error

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
