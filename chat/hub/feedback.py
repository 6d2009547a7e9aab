"""Pushing what users allowed to be kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chat.hub.publishing import persistently
from chat.hub.repositories import Destination, make, make_ready

if TYPE_CHECKING:
    from chat.hub.scheduler import QuietScheduler

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
    from chat.hub.scheduler import QuietScheduler

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
