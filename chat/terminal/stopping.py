"""Ctrl-C while a reply is drawn: it ends the reply, and nothing else."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from contextlib import closing

HOPELESS_PRESSES = 3


class CtrlC:
    """A context in which Ctrl-C breaks into nothing but the drawing, and once: the clean-up must not be cut.

    Attributes:
        presses: so far. From `HOPELESS_PRESSES` on they raise KeyboardInterrupt wherever the program is.
    """

    def __init__(self):
        self.presses = 0
        self._is_drawing = False

    def __enter__(self) -> CtrlC:
        self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _press(self, *signal_and_frame: object) -> None:
        self.presses += 1
        if (self._is_drawing and self.presses == 1) or self.presses >= HOPELESS_PRESSES:
            raise KeyboardInterrupt

    def until_pressed(self, texts: Generator[str]) -> Iterator[str]:
        """What is drawn till its end or Ctrl-C; then it is closed."""
        with closing(texts):
            while True:
                self._is_drawing = True
                try:
                    if self.presses:
                        return
                    text = next(texts)
                except (StopIteration, KeyboardInterrupt):
                    return
                finally:
                    self._is_drawing = False
                yield text
