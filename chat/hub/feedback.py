"""Pushing what users allowed to be kept, now and then and in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, CommitScheduler

from chat.cli import UserError
from chat.hub.errors import failure_of
from chat.hub.publishing import persistently
from chat.hub.repositories import Destination, make, make_ready

# Somebody waits for the page.
ATTEMPTS_AT_START = 3


def feedback_scheduler(dataset: str, file: Path, every_minutes: float, flag: str) -> QuietScheduler:
    """Pushes a file that grows to a private dataset, in the background, till it is stopped.

    Nothing else in the file's folder is pushed: users consented to what was done with it then, not now.

    Args:
        dataset: USER/NAME; made, private, where it does not exist.
        flag: what gave the name, for errors.

    Raises:
        UserError: no token, none that may write there, a public dataset, or no Hub.
    """
    destination = Destination(dataset, "dataset", flag=flag, public_flag=None)
    if make_ready(destination):
        persistently(
            lambda: make(destination),
            destination,
            undone="cannot be written to now",
            again=f"start again, or unset {flag} to log on this machine only",
            attempts=ATTEMPTS_AT_START,
        )
    return QuietScheduler(
        **destination.repository, folder_path=file.parent, allow_patterns=[file.name], every=every_minutes
    )


class QuietScheduler(CommitScheduler):
    """The Hub client's, whose failures here are one line, and which no process waits for."""

    def __init__(self, **options: Any):
        self._pushing = threading.Lock()
        super().__init__(**options)

    def trigger(self) -> Future[CommitInfo | None]:
        """Begins a push, after the one that may be going on."""
        return self._begin(self._push_to_hub)

    def push_and_stop(self) -> Future[CommitInfo | None]:
        """Begins the last push, after the one that may be going on; none follows it."""
        self.stop()
        return self._begin(self.push_to_hub)

    def _begin(self, push: Callable[[], CommitInfo | None]) -> Future[CommitInfo | None]:
        """In a thread that ends with the process; the client's own would hold it till the Hub answers."""
        pushed: Future[CommitInfo | None] = Future()

        def run() -> None:
            with self._pushing:
                try:
                    pushed.set_result(push())
                except Exception as error:
                    pushed.set_exception(error)

        threading.Thread(target=run, name="push-feedback", daemon=True).start()
        return pushed

    def push_to_hub(self) -> CommitInfo | None:
        """
        Raises:
            UserError: it failed, and what to do; the client logs it.
        """
        try:
            return super().push_to_hub()
        except Exception as error:
            raise UserError(str(failure_of(error))) from error
