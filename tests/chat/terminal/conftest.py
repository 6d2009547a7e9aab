"""The terminal chat as a user meets it: a process in a pseudo-terminal, its keyboard and its screen."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest

from chat.session import ChatSession
from chat.terminal.conversation import Conversation
from chat.terminal.lines import PipedLines
from chat.terminal.screen import PlainScreen
from tests.conftest import ROOT
from tests.tiny_models import saved_gpt2

ENTER, UP, LEFT, TAB, CTRL_C, CTRL_D = "\r", "\x1b[A", "\x1b[D", "\t", "\x03", "\x04"
COLUMNS, ROWS = 80, 300


class Typist:
    """Somebody at `python -m chat`, on a screen so long that nothing leaves it."""

    def __init__(self, *flags: str, cwd: Path = ROOT, **environment: str):
        import pexpect
        import pyte

        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self.sent = b""
        self._rows = [""] * ROWS
        given = {
            **os.environ,
            "TERM": "xterm-256color",
            "PYTHONPATH": str(ROOT),
            "NO_COLOR": "",
            **environment,
        }
        self.process = pexpect.spawn(
            sys.executable, ["-m", "chat", *flags], dimensions=(ROWS, COLUMNS), env=given, cwd=str(cwd)
        )
        # Else pexpect would wait 50 ms before each key, for the sake of passwords.
        self.process.delaybeforesend = None
        # The program asks where the cursor is.
        self.screen.write_process_input = self.process.send

    def lines(self) -> list[str]:
        """What the screen shows, to the last line with anything on it."""
        # Of what has changed alone: pyte's `display` of so many rows takes longer than most replies.
        while self.screen.dirty:
            row = self.screen.dirty.pop()
            cells = self.screen.buffer[row]
            self._rows[row] = "".join(cells[column].data for column in range(COLUMNS) if cells).rstrip()
        return "\n".join(self._rows).rstrip("\n").split("\n")

    def _read(self) -> None:
        import pexpect

        try:
            while chunk := self.process.read_nonblocking(65536, timeout=0.02):
                self.sent += chunk
                self._stream.feed(chunk)
        except (pexpect.TIMEOUT, pexpect.EOF):
            pass

    def until(self, holds: Callable[[], bool], seconds: float = 300) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._read()
            if holds():
                return
        raise AssertionError(f"not within {seconds} seconds; shown: {self.lines()}")

    def keys(self, *keys: str) -> None:
        self.process.send("".join(keys))

    def is_asked(self) -> bool:
        """Whether the prompt is there, and nothing typed at it."""
        return self.lines()[-1] == "You:"

    def prompts(self) -> int:
        return sum(line == "You:" or line.startswith("You: ") for line in self.lines())

    def say(self, text: str) -> list[str]:
        """Types a line; what is shown between it and the next prompt."""
        before = self.prompts()
        self.keys(text, ENTER)
        self.until(lambda: self.prompts() > before and self.is_asked())
        lines = self.lines()
        typed = max(place for place, line in enumerate(lines) if line.startswith(f"You: {text}"[:COLUMNS]))
        return lines[typed + 1 : -1]

    def ends(self, seconds: float = 300) -> int:
        """The exit status, when the program has ended."""
        self.until(lambda: not self.process.isalive(), seconds)
        return self.process.exitstatus


@contextmanager
def typist(*flags: str, **options) -> Iterator[Typist]:
    found = Typist(*flags, **options)
    try:
        found.until(found.is_asked)
        yield found
    finally:
        # `close` gives a process a tenth of a second to die, which a busy machine may not.
        found.process.kill(signal.SIGKILL)
        found.process.wait()


@pytest.fixture(scope="session")
def slow_model(tokenizer, tmp_path_factory) -> Path:
    """A model whose replies take seconds: larger, of random weights."""
    sizes = {"n_layer": 12, "n_embd": 384, "n_head": 6, "n_positions": 512}
    return saved_gpt2(tokenizer, tmp_path_factory.mktemp("slow"), **sizes)


@pytest.fixture
def talk(engine) -> Callable[..., tuple[Conversation, str]]:
    """A function: the conversation after some lines through a pipe, and all that was printed on stdout."""

    def after(*lines: str, conversation: Conversation | None = None) -> tuple[Conversation, str]:
        output = StringIO()
        screen = PlainScreen(output)
        piped = PipedLines(StringIO("\n".join(lines) + "\n"), screen)
        if conversation is None:
            session = ChatSession(engine, settings=engine.settings.changed(max_new_tokens=8, seed=1))
            conversation = Conversation(session, piped, screen)
        conversation.lines, conversation.screen = piped, screen
        conversation.converse()
        return conversation, output.getvalue()

    return after
