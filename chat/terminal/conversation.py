"""The conversation at a terminal or through a pipe: lines are read and answered until somebody leaves."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chat.dialogue import ASSISTANT, USER
from chat.session import MAX_MESSAGE_CHARACTERS, ChatSession
from chat.terminal import BadCommand
from chat.terminal.arguments import ChatArguments
from chat.terminal.commands import COMPLETIONS, EXIT, obey, persona_of
from chat.terminal.files import KeptFile
from chat.terminal.lines import Lines, PipedLines, lines_for
from chat.terminal.screen import PROMPT, REPLY_PREFIX, Screen
from chat.terminal.settings import corrections
from chat.terminal.stopping import CtrlC

if TYPE_CHECKING:
    from chat.engine import ChatEngine

PRESSES_TO_LEAVE = 2
LEAVING = "Ctrl-C again leaves, as does `exit`."


@dataclass
class Conversation:
    """
    Attributes:
        file: where it was last saved or loaded.
        before: session and file that /reset or /load put aside, till something new is said.
        rejected: replies to the last message, in whose place /retry drew others.
        presses: of Ctrl-C, one after the other.
        failures: lines that could not be obeyed or answered.
    """

    session: ChatSession
    lines: Lines
    screen: Screen
    file: KeptFile | None = None
    before: tuple[ChatSession, KeptFile | None] | None = None
    rejected: list[str] = field(default_factory=list)
    presses: int = 0
    failures: int = 0

    def converse(self) -> None:
        """Reads and answers until `exit`, the end of input, or Ctrl-C twice.

        Raises:
            KeyboardInterrupt: Ctrl-C where there is no keyboard.
        """
        while self.presses < PRESSES_TO_LEAVE:
            try:
                line = self.lines.read()
                if line.lower() in EXIT:
                    return
                self.presses = 0
                self._do(line)
            except EOFError:
                return
            except KeyboardInterrupt:
                if not self.lines.is_keyboard:
                    raise
                self.presses += 1
                if self.presses < PRESSES_TO_LEAVE:
                    self.screen.note(LEAVING)

    def _do(self, line: str) -> None:
        try:
            if line.startswith("/") and not line.startswith("//"):
                obey(self, line)
            elif line:
                self.say(line.removeprefix("/"))
        except BadCommand as error:
            self._fail(str(error))
        # What torch and OpenVINO raise, out of memory among it: the conversation outlives it.
        except RuntimeError as error:
            self._fail(f"there is no reply ({' '.join(str(error).split())[:200]}); say it again")

    def _fail(self, hint: str) -> None:
        self.failures += 1
        self.screen.hint(hint)

    def say(self, text: str) -> None:
        """Says something new and shows the reply."""
        if len(text) > MAX_MESSAGE_CHARACTERS:
            self.screen.hint(f"Only the first {MAX_MESSAGE_CHARACTERS} characters are taken.")
        self.before, self.rejected = None, []
        self.answer(text)

    def answer(self, text: str, prefix: str = REPLY_PREFIX) -> None:
        """Shows the reply as it grows. Ctrl-C ends it, and what was said till then is kept.

        Raises:
            KeyboardInterrupt: Ctrl-C where there is no keyboard.
        """
        turns = self.session.turns
        last = turns[-1] if turns else None
        with CtrlC() as ctrl_c, self.lines.unseen(), self.screen.reply(prefix) as show:
            for reply in ctrl_c.until_pressed(self.session.ask(text, self.rejected)):
                show(reply)
            # Ctrl-C may have come after a message was kept and before its reply could be.
            if turns and turns[-1] is not last and turns[-1]["role"] == USER:
                turns.pop()
            has_reply = bool(turns) and turns[-1] is not last
            if has_reply:
                show(turns[-1]["content"])
        if ctrl_c.presses and not self.lines.is_keyboard:
            raise KeyboardInterrupt
        self.presses = ctrl_c.presses
        if self.presses:
            what = (
                "Stopped."
                if has_reply
                else "Stopped before the first word; arrow up brings your message back."
            )
            self.screen.note(f"{what} {LEAVING}")

    def remember(self) -> None:
        """Puts a copy of the conversation aside, for /undo, before another takes its place."""
        self.before = replace(self.session, turns=[*self.session.turns]), self.file
        self.rejected = []

    def show_last(self, count: int) -> None:
        """The last turns of a conversation."""
        turns = self.session.turns
        if len(turns) > count:
            self.screen.note(f"... {len(turns) - count} turns before")
        for turn in turns[-count:]:
            self.screen.said(REPLY_PREFIX if turn["role"] == ASSISTANT else PROMPT, turn["content"])


def converse(engine: ChatEngine, arguments: ChatArguments, screen: Screen) -> Conversation:
    """Chats until somebody leaves."""
    session = _session(engine, arguments, screen)
    conversation = Conversation(session, lines_for(sys.stdin, screen, COMPLETIONS), screen)
    screen.note(
        f"Chatting with {engine.name}. It is a small language model: it makes things up. /help lists the "
        "commands, `exit` leaves."
    )
    if conversation.lines.is_keyboard and session.persona:
        screen.note(f"It says of itself: {' '.join(session.persona)}")
    conversation.converse()
    return conversation


def answer_once(engine: ChatEngine, arguments: ChatArguments, screen: Screen) -> None:
    """Shows the reply to `--once`, and nothing else."""
    session = _session(engine, arguments, screen)
    Conversation(session, PipedLines(sys.stdin, screen), screen).answer(arguments.once, prefix="")


def _session(engine: ChatEngine, arguments: ChatArguments, screen: Screen) -> ChatSession:
    asked = arguments.settings()
    settings = engine.settings.changed(**asked)
    persona, left_out = persona_of(arguments.persona)
    for line in [*corrections(asked, settings), *filter(None, [left_out])]:
        screen.hint(line)
    return ChatSession(engine, persona, settings=settings)
