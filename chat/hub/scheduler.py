"""The Hub client's scheduler of commits, whose failures are one line, and which no process waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from huggingface_hub import CommitInfo, CommitScheduler

from chat.cli import UserError
from chat.hub.errors import failure_of


class QuietScheduler(CommitScheduler):
    """Pushes a folder now and then, till it is stopped."""

    def __init__(self, **options):
        """
        Args:
            options: of `CommitScheduler`.
        """
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
