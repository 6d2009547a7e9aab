"""Where the user's lines come from: a keyboard, with editing, history and completion, or a pipe."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, TextIO

from chat.terminal.screen import PROMPT, Screen, has_colours

if TYPE_CHECKING:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent


class Lines(ABC):
    """
    Attributes:
        is_keyboard: somebody sits there, who can press Ctrl-C and go on.
    """

    is_keyboard: bool

    @abstractmethod
    def read(self) -> str:
        """The next line.

        Raises:
            EOFError: there is none.
            KeyboardInterrupt: Ctrl-C was pressed on an empty line.
        """

    def unseen(self) -> AbstractContextManager[None]:
        """What is typed in the block is not shown there, and is read afterwards."""
        return nullcontext()


class PipedLines(Lines):
    """Lines of a pipe, echoed, so that the output reads as a conversation."""

    is_keyboard = False

    def __init__(self, stream: TextIO, screen: Screen):
        self._stream, self._screen = stream, screen

    def read(self) -> str:
        line = self._stream.readline()
        if not line:
            raise EOFError
        if text := line.strip():
            self._screen.said(PROMPT, text)
        return text


class Keyboard(Lines):
    """prompt_toolkit: line editing, Tab for completion, a history of this chat, in memory and not on disk."""

    is_keyboard = True

    def __init__(self, arguments: Mapping[str, list[str] | None], output: TextIO, echo: Screen | None = None):
        """
        Args:
            arguments: by command, what can follow it; None is a path.
            output: the terminal that the prompt stands on.
            echo: where lines are shown, if that is elsewhere.
        """
        from prompt_toolkit import PromptSession
        from prompt_toolkit.output import create_output
        from prompt_toolkit.shortcuts import CompleteStyle

        self._echo = echo
        self._prompt = PromptSession(
            [("bold ansicyan" if has_colours() else "", PROMPT)],
            output=create_output(stdout=output),
            completer=_completer(arguments),
            complete_while_typing=False,
            # The other styles keep lines free below the prompt.
            complete_style=CompleteStyle.READLINE_LIKE,
            key_bindings=_ctrl_c(),
        )

    def read(self) -> str:
        text = self._prompt.prompt().strip()
        if self._echo and text:
            self._echo.said(PROMPT, text)
        return text

    @contextmanager
    def unseen(self) -> Iterator[None]:
        try:
            import termios
        except ImportError:
            yield
            return
        keyboard = sys.stdin.fileno()
        before = termios.tcgetattr(keyboard)
        silent = [*before]
        silent[3] &= ~termios.ECHO
        termios.tcsetattr(keyboard, termios.TCSADRAIN, silent)
        try:
            yield
        finally:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _ctrl_c() -> KeyBindings:
    """Ctrl-C drops the line; on an empty one it is for the reader."""
    from prompt_toolkit.key_binding import KeyBindings

    bindings = KeyBindings()

    @bindings.add("c-c")
    @bindings.add("<sigint>")
    def drop(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    return bindings


def _completer(arguments: Mapping[str, list[str] | None]) -> Completer:
    from prompt_toolkit.completion import Completer, PathCompleter, WordCompleter
    from prompt_toolkit.document import Document

    commands = WordCompleter([*arguments], sentence=True)
    following = {
        command: PathCompleter(expanduser=True) if words is None else WordCompleter(words, WORD=True)
        for command, words in arguments.items()
    }

    # prompt_toolkit's NestedCompleter knows no first word with a slash.
    class CommandCompleter(Completer):
        def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
            command, space, rest = document.text_before_cursor.partition(" ")
            if command in following and space:
                yield from following[command].get_completions(Document(rest), event)
            elif command.startswith("/") and not space:
                yield from commands.get_completions(document, event)

    return CommandCompleter()


def lines_for(stream: TextIO, screen: Screen, arguments: Mapping[str, list[str] | None]) -> Lines:
    """The keyboard where there is one, and a terminal to show what is typed."""
    if stream.isatty() and sys.stdout.isatty():
        return Keyboard(arguments, sys.stdout)
    if stream.isatty() and sys.stderr.isatty():
        return Keyboard(arguments, sys.stderr, echo=screen)
    return PipedLines(stream, screen)
