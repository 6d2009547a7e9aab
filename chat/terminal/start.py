"""From flags to a conversation, or to one reply."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from chat.session import ChatSession
from chat.terminal.arguments import ChatArguments
from chat.terminal.commands import COMPLETIONS, persona_of
from chat.terminal.conversation import Conversation
from chat.terminal.lines import PipedLines, lines_for
from chat.terminal.screen import Screen
from chat.terminal.settings import corrections

if TYPE_CHECKING:
    from chat.engine import ChatEngine


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
