"""Pushes in a thread of their own: the newest of what is asked for, tried again for as long as it takes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from chat.hub.errors import Failure, failure_of
from chat.hub.publishing import ATTEMPTS, FIRST_WAIT_SECONDS
from chat.hub.repositories import Destination

logger = logging.getLogger(__name__)
LONGEST_WAIT_SECONDS = 600.0


@dataclass
class Push:
    """
    Attributes:
        what: is pushed, for messages.
        action: pushes it, whole or not at all; may be called again after it has failed.
        discard: called once when it is no longer needed.
    """

    what: str
    action: Callable[[], object]
    discard: Callable[[], object]


class NewestPush:
    """Carries out pushes one at a time; one that waits gives way to a newer one.

    What goes wrong reaches the caller by `close` alone: till then it is logged, and tried again after growing
    pauses or when the Hub says. Where that is of no use before the user does something, the next push tries.
    """

    def __init__(self, destination: Destination, every_seconds: float = 0.0):
        """
        Args:
            every_seconds: between the beginnings of two pushes, at least; none is held back after a failure,
                nor the last one.
        """
        from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars

        self.destination, self.every_seconds = destination, every_seconds
        self._waiting: Push | None = None
        self._attempts_left: int | None = None
        self._pause_seconds = FIRST_WAIT_SECONDS
        self._failure: Failure | None = None
        self._changed = threading.Condition()
        # They would write over those of the work that goes on beside the uploads.
        self._had_bars = not are_progress_bars_disabled()
        disable_progress_bars()
        self._thread = threading.Thread(target=self._run, name="push-to-hub", daemon=True)
        self._thread.start()

    def submit(self, push: Push) -> None:
        with self._changed:
            superseded, self._waiting = self._waiting, push
            self._changed.notify()
        if superseded:
            superseded.discard()

    def close(self, attempts: int = ATTEMPTS) -> Failure | None:
        """Pushes what still waits, at most so many times; why it is not on the Hub, if it is not."""
        from huggingface_hub.utils import enable_progress_bars

        with self._changed:
            self._attempts_left = attempts
            # Not the long pause that an outage had come to.
            self._pause_seconds = FIRST_WAIT_SECONDS
            self._changed.notify()
        self._thread.join()
        if self._had_bars:
            enable_progress_bars()
        return self._failure

    def _run(self) -> None:
        pushed = float("-inf")
        while push := self._next(pushed + self.every_seconds):
            begun = time.monotonic()
            try:
                push.action()
            except Exception as error:
                failure = failure_of(error)
                logger.debug("%s", self.destination, exc_info=True)
                if not self._wait_after(push, failure):
                    return
            else:
                pushed = begun
                logger.info("%s is on the Hub: %s", push.what, self.destination.url)
                push.discard()
                with self._changed:
                    self._pause_seconds = FIRST_WAIT_SECONDS

    def _next(self, not_before: float) -> Push | None:
        """The newest push; None where there is none and will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            self._changed.wait_for(lambda: self._closing, max(0.0, not_before - time.monotonic()))
            push, self._waiting = self._waiting, None
            return push

    @property
    def _closing(self) -> bool:
        return self._attempts_left is not None

    def _wait_after(self, push: Push, failure: Failure) -> bool:
        """Waits till the next try; False where there shall be none."""
        with self._changed:
            superseded = push if self._waiting else None
            self._waiting = self._waiting or push
            if self._closing:
                self._attempts_left -= 1
                if failure.is_lasting or self._attempts_left <= 0:
                    self._failure = failure
                    return False
            seconds = max(self._pause_seconds, failure.retry_after_seconds)
            self._pause_seconds = min(2 * self._pause_seconds, LONGEST_WAIT_SECONDS)
            remedy = failure.remedy if failure.is_lasting else f"trying again in {seconds:.0f} s"
            logger.warning(
                "%s: %s is not on the Hub yet (%s); %s", self.destination, push.what, failure.reason, remedy
            )
            newest = self._waiting
            if failure.is_lasting:
                self._changed.wait_for(lambda: self._closing or self._waiting is not newest)
            elif self._closing:
                self._changed.wait(seconds)
            else:
                self._changed.wait_for(lambda: self._closing, seconds)
        if superseded:
            superseded.discard()
        return True
