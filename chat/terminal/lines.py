"""Where the user's lines come from: a keyboard, with editing, history and completion, or a pipe."""

from __future__ import annotations

import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, TextIO

from chat.terminal.screen import PROMPT, Screen, has_colours

if TYPE_CHECKING:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.key_binding import KeyBindings


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
        # Windows may put a mark before the first character of a file.
        if text := line.removeprefix("\ufeff").strip():
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

        self._echo, self._is_pressed = echo, False
        self._prompt = PromptSession(
            [("bold ansicyan" if has_colours() else "", PROMPT)],
            output=create_output(stdout=output),
            completer=_completer(arguments),
            complete_while_typing=False,
            # The other styles keep lines free below the prompt.
            complete_style=CompleteStyle.READLINE_LIKE,
            key_bindings=self._ctrl_c(),
        )

    def read(self) -> str:
        with self._presses_kept():
            text = self._prompt.prompt(pre_run=self._pass_press_on, handle_sigint=False).strip()
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
        # Ctrl-D would be the end of a line that nobody reads; as a character it gets to the prompt.
        silent[6] = [*before[6]]
        silent[6][termios.VEOF] = bytes([os.fpathconf(keyboard, "PC_VDISABLE")])
        termios.tcsetattr(keyboard, termios.TCSADRAIN, silent)
        try:
            yield
        finally:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)

    def _ctrl_c(self) -> KeyBindings:
        from prompt_toolkit.key_binding import KeyBindings

        bindings = KeyBindings()
        bindings.add("c-c")(lambda _: self._drop())
        return bindings

    def _drop(self) -> None:
        """Drops the line; an empty one ends the prompt: Ctrl-C is for the reader."""
        prompt = self._prompt.app
        if prompt.future is None or prompt.future.done():
            return
        self._is_pressed = False
        if prompt.current_buffer.text:
            prompt.current_buffer.reset()
        else:
            prompt.exit(exception=KeyboardInterrupt, style="class:aborting")

    @contextmanager
    def _presses_kept(self) -> Iterator[None]:
        """Ctrl-C while the terminal does not give it as a key, as just after a reply, breaks into nothing.

        Within a prompt that begins or ends, a KeyboardInterrupt would be lost, or break the prompt for good.
        """

        def press(*signal_and_frame: object) -> None:
            self._is_pressed = True
            self._pass_press_on()

        self._is_pressed = False
        before = signal.signal(signal.SIGINT, press)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
        if self._is_pressed:
            raise KeyboardInterrupt

    def _pass_press_on(self) -> None:
        if self._is_pressed and self._prompt.app.loop:
            self._prompt.app.loop.call_soon_threadsafe(self._drop)


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
