"""One user's conversation: the persona, what was said, and the next reply. Nothing sent is taken on trust."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from chat.decoding import DecodingSettings
from chat.dialogue import ASSISTANT, USER, persona_messages
from chat.engine import ChatEngine
from chat.template import content_text, without_halves

MAX_PERSONA_SENTENCES = 8
MAX_PERSONA_SENTENCE_CHARACTERS = 200
MAX_MESSAGE_CHARACTERS = 2000
MAX_TURNS = 200
EMPTY_MESSAGE_REPLY = "I did not catch that. What did you want to say?"


def message_from(sent: Any) -> str:
    """The text of what a client sent, within the limits: numbers as they are written, other things as empty.

    Control characters become spaces, but line ends and tabs; halves of surrogate pairs become `?`.
    """
    is_number = isinstance(sent, int | float) and not isinstance(sent, bool)
    text = (str(sent) if is_number else content_text(sent)).strip()[:MAX_MESSAGE_CHARACTERS]
    return "".join(
        " " if unicodedata.category(each) == "Cc" and each not in "\n\t" else each
        for each in without_halves(text)
    ).strip()


def persona_from(sent: Any) -> tuple[str, ...]:
    """A persona within the limits, from free text, one sentence a line, or from a list of sentences."""
    if isinstance(sent, str):
        sent = sent[: MAX_PERSONA_SENTENCES * MAX_MESSAGE_CHARACTERS].splitlines()
    elif isinstance(sent, Mapping) or not isinstance(sent, Iterable):
        return ()
    sentences = (message_from(each)[:MAX_PERSONA_SENTENCE_CHARACTERS].strip() for each in sent)
    return tuple(sentence for sentence in sentences if sentence)[:MAX_PERSONA_SENTENCES]


@dataclass
class ChatSession:
    """A conversation with an engine. What the model's context cannot hold stays here, outside the prompt.

    Attributes:
        persona: first-person sentences about the assistant.
        turns: the messages so far, without the persona; the oldest go beyond `MAX_TURNS`.
        settings: how replies are drawn; None takes the model's own.
    """

    engine: ChatEngine
    persona: tuple[str, ...] = ()
    turns: list[dict[str, str]] = field(default_factory=list)
    settings: DecodingSettings | None = None

    def messages(self) -> list[dict[str, str]]:
        """The conversation for the engine, the persona first."""
        return [*persona_messages(self.persona), *self.turns]

    def ask(self, sent: Any, rejected: Sequence[str] = ()) -> Iterator[str]:
        """Says what `sent` holds and yields the reply as it grows (see `ChatEngine.stream`).

        The two turns are kept when the reply ends or the iterator is closed, with what had been yielded;
        nothing is kept where nothing had, nor of a message without text.
        """
        text = message_from(sent)
        if not text:
            yield EMPTY_MESSAGE_REPLY
            return
        self.turns.append({"role": USER, "content": text})
        reply = ""
        try:
            for reply in self.engine.stream(self.messages(), self.settings, rejected):
                yield reply
        finally:
            if reply:
                self.turns.append({"role": ASSISTANT, "content": reply})
                del self.turns[:-MAX_TURNS]
            else:
                self.turns.pop()

    def reset(self) -> None:
        """Forgets what was said; the persona stays."""
        self.turns.clear()

    def to_json(self) -> str:
        """Persona, turns and settings, for `from_json`."""
        settings = asdict(self.settings) if self.settings else None
        kept = {"persona": list(self.persona), "turns": self.turns, "settings": settings}
        return json.dumps(kept, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, engine: ChatEngine, text: str | bytes) -> ChatSession:
        """The conversation that `to_json`, or somebody else, wrote, checked and within the limits.

        Raises:
            ValueError: it is no such JSON; the message says what is wrong.
        """
        try:
            kept = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the conversation is not JSON ({error})") from None
        if not isinstance(kept, dict) or not set(kept) <= {"persona", "turns", "settings"}:
            raise ValueError("the conversation must be an object of `persona`, `turns` and `settings`")
        persona, turns, settings = kept.get("persona", []), kept.get("turns", []), kept.get("settings")
        if not isinstance(persona, list) or not all(isinstance(each, str) for each in persona):
            raise ValueError("`persona` must be a list of sentences")
        own = _settings_from(settings, engine.settings)
        return cls(engine, persona_from(persona), checked_turns(turns), own)


def checked_turns(kept: Any) -> list[dict[str, str]]:
    """The last `MAX_TURNS` turns of what somebody kept.

    Raises:
        ValueError: it is no list of turns.
    """
    if not isinstance(kept, list):
        raise ValueError("`turns` must be a list")
    turns = []
    for number, turn in enumerate(kept[-MAX_TURNS:], start=1 + max(0, len(kept) - MAX_TURNS)):
        if not isinstance(turn, dict) or turn.get("role") not in (USER, ASSISTANT):
            raise ValueError(f"turn {number} must have the role `{USER}` or `{ASSISTANT}`")
        if not isinstance(turn.get("content"), str):
            raise ValueError(f"turn {number} must have a text as `content`")
        turns.append({"role": turn["role"], "content": message_from(turn["content"])})
    return turns


def _settings_from(kept: Any, own: DecodingSettings) -> DecodingSettings | None:
    if kept is None:
        return None
    names = {each.name for each in fields(DecodingSettings)}
    if not isinstance(kept, dict) or not set(kept) <= names:
        raise ValueError(f"`settings` must be an object of {', '.join(sorted(names))}")
    return own.changed(**kept)
