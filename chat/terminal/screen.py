"""What is shown: on a terminal in colours and as it grows, in a pipe as plain lines.

Whatever a model, a user or a file says reaches a terminal as text: it moves no cursor and sets no title.
"""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TextIO

from chat.printable import printable

if TYPE_CHECKING:
    from rich.text import Text

PROMPT = "You: "
REPLY_PREFIX = "GPT-2: "

Show = Callable[[str], None]


def has_colours() -> bool:
    """Whether the user has not switched colours off (https://no-color.org)."""
    return not os.environ.get("NO_COLOR")


class Screen(ABC):
    """Where a conversation is shown."""

    @abstractmethod
    def reply(self, prefix: str = REPLY_PREFIX) -> AbstractContextManager[Show]:
        """A function that shows the reply so far, in place of what it showed before."""

    @abstractmethod
    def said(self, who: str, text: str) -> None:
        """A turn that has been."""

    @abstractmethod
    def note(self, text: str) -> None:
        """What a command found or did."""

    @abstractmethod
    def hint(self, text: str) -> None:
        """What was wrong, in one line."""


class PlainScreen(Screen):
    """Lines for a file or another program: each reply whole; hints on stderr."""

    def __init__(self, output: TextIO):
        self._output = output

    @contextmanager
    def reply(self, prefix: str = REPLY_PREFIX) -> Iterator[Show]:
        shown = ""

        def show(text: str) -> None:
            nonlocal shown
            shown = text

        try:
            yield show
        finally:
            if shown:
                self._print(f"{prefix}{shown}")

    def said(self, who: str, text: str) -> None:
        self._print(f"{who}{text}")

    def note(self, text: str) -> None:
        self._print(text)

    def hint(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)

    def _print(self, text: str) -> None:
        print(printable(text), file=self._output, flush=True)


class TerminalScreen(Screen):
    """Rich on a terminal: lines break between words; a reply that is drawn anew takes the old one's place."""

    def __init__(self, output: TextIO):
        from rich.console import Console

        self._console = Console(
            file=output, color_system="auto" if has_colours() else None, highlight=False, markup=False
        )

    @contextmanager
    def reply(self, prefix: str = REPLY_PREFIX) -> Iterator[Show]:
        from rich.live import Live

        options = {"auto_refresh": False, "redirect_stdout": False, "redirect_stderr": False}
        with Live(self._turn(prefix, ""), console=self._console, **options) as live:
            yield lambda text: live.update(self._turn(prefix, text), refresh=True)

    def said(self, who: str, text: str) -> None:
        self._console.print(self._turn(who, text))

    def note(self, text: str) -> None:
        self._console.print(self._text(text, "dim"))

    def hint(self, text: str) -> None:
        self._console.print(self._text(text, "yellow"))

    def _turn(self, who: str, text: str) -> Text:
        return self._text(who, "bold green" if who == REPLY_PREFIX else "bold cyan") + self._text(text, "")

    @staticmethod
    def _text(text: str, style: str) -> Text:
        from rich.text import Text

        return Text(printable(text), style=style)


def screen_for(output: TextIO) -> Screen:
    return TerminalScreen(output) if output.isatty() else PlainScreen(output)
