"""One user's conversation: the persona, what was said, and the next reply."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from chat.decoding import DecodingSettings
from chat.dialogue import ASSISTANT, SYSTEM, USER, persona_text
from chat.engine import ChatEngine

MAX_PERSONA_SENTENCES = 8
MAX_PERSONA_SENTENCE_CHARACTERS = 200
MAX_MESSAGE_CHARACTERS = 2000


def persona_from(lines: str | Iterable[str]) -> tuple[str, ...]:
    """A persona from free text, one sentence a line, within the limits."""
    if isinstance(lines, str):
        lines = lines.splitlines()
    sentences = [line.strip()[:MAX_PERSONA_SENTENCE_CHARACTERS] for line in lines if line.strip()]
    return tuple(sentences[:MAX_PERSONA_SENTENCES])


@dataclass
class ChatSession:
    """A conversation with an engine. What the model's context cannot hold stays here, outside the prompt.

    Attributes:
        persona: first-person sentences about the assistant.
        turns: the messages so far, without the persona.
        settings: how replies are drawn; None takes the model's own.
    """

    engine: ChatEngine
    persona: tuple[str, ...] = ()
    turns: list[dict[str, str]] = field(default_factory=list)
    settings: DecodingSettings | None = None

    def messages(self) -> list[dict[str, str]]:
        """The conversation for the engine, the persona first."""
        text = persona_text(self.persona)
        return ([{"role": SYSTEM, "content": text}] if text else []) + self.turns

    def ask(self, text: str) -> Iterator[str]:
        """Says `text` and yields the reply as it grows (see `ChatEngine.stream`).

        The two turns are kept when the reply ends or the iterator is closed, with what had been yielded;
        nothing is kept where nothing had.
        """
        self.turns.append({"role": USER, "content": text.strip()[:MAX_MESSAGE_CHARACTERS]})
        reply = ""
        try:
            for reply in self.engine.stream(self.messages(), self.settings):
                yield reply
        finally:
            if reply:
                self.turns.append({"role": ASSISTANT, "content": reply})
            else:
                self.turns.pop()

    def reset(self) -> None:
        """Forgets what was said; the persona stays."""
        self.turns.clear()
