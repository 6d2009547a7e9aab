"""What answers a message on the page, with what the page can tell about each reply afterwards."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from chat.attribution import leaning
from chat.decoding import MAX_SEED
from chat.dialogue import ASSISTANT, USER
from chat.engine import FALLBACK_REPLY, ChatEngine, EngineBusy
from chat.page.controls import ANY_SEED
from chat.page.text_chatbot import typed
from chat.published_paths import published
from chat.session import MAX_MESSAGE_CHARACTERS, MAX_TURNS, ChatSession, persona_from
from chat.template import content_text, encode_texts

if TYPE_CHECKING:
    from chat.feedback import FeedbackLog

# What is kept of a conversation beside its messages: `id`; `continues`, where the server had forgotten it,
# and the id is new to it; `replies`, the details of each by its place among the messages (as text: JSON has
# no other keys); and, on the server alone, `rejected`: replies to the last message, in whose place others
# were asked for. It is changed in place: a reply that is stopped is noted after its last yield, when nothing
# can be an output any more.
Record = dict[str, Any]


def new_record() -> Record:
    return {"id": uuid.uuid4().hex, "replies": {}}


@dataclass(frozen=True)
class ReplyDetails:
    """
    Attributes:
        reply: the text that these are about; where another stands in its place they are out of date.
        persona: that it was drawn for, a sentence a line.
        seed: with the same settings and conversation, and the same replies rejected, it draws the same reply.
        seconds: from asking to the end of the reply.
        tokens: of the reply.
    """

    reply: str
    persona: str
    seed: int
    seconds: float
    tokens: int

    @classmethod
    def from_json(cls, kept: Any) -> ReplyDetails:
        """What a browser kept, within the limits.

        Raises:
            TypeError, ValueError: it is not what `asdict` gave.
        """
        found = cls(**kept)
        types = {"reply": str, "persona": str, "seed": int, "seconds": int | float, "tokens": int}
        if not all(isinstance(getattr(found, each.name), types[each.name]) for each in fields(cls)):
            raise TypeError("a detail is of another type")
        persona = "\n".join(persona_from(found.persona))
        return replace(found, reply=found.reply[:MAX_MESSAGE_CHARACTERS], persona=persona)


def turns_from(history: Any) -> list[dict[str, str]]:
    """The conversation that a chatbot component holds, as the engine takes it, within the limits."""
    return [
        {"role": turn["role"], "content": content_text(turn["content"])[:MAX_MESSAGE_CHARACTERS]}
        for turn in (history or [])[-MAX_TURNS:]
        if turn.get("role") in (USER, ASSISTANT)
    ]


# What programs are told of both functions below.
DOCUMENTATION = """\
Answers one message as a small language model that makes things up, in the voice of a persona.

Args:
    message: {message}
    persona: who answers: first-person sentences, one a line.
    temperature: lower is more predictable.
    top_p: share of the probability that words are drawn from.
    top_k: most probable words that are drawn from; 0 is all.
    max_new_tokens: longest reply, in tokens.
    best_of: replies that are drawn, of which the best is given.
    seed: draws the same reply again; -1 takes another one each time.
"""
CONSENT_DOCUMENTATION = "    consent: whether message and reply may be kept by those who run this page.\n"


def answerer(engine: ChatEngine, log: FeedbackLog | None) -> Callable[..., Iterator[str]]:
    """The function that `ChatInterface` calls."""

    def chat(
        message: Any,
        history: list[dict],
        persona: str,
        temperature: float,
        top_p: float,
        top_k: int,
        max_new_tokens: int,
        best_of: int,
        seed: float | None,
        consent: bool,
        record: Record,
    ) -> Iterator[str]:
        settings = engine.settings.changed(
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            max_new_tokens=max_new_tokens,
            best_of=best_of,
            seed=seed if isinstance(seed, int | float) and seed >= 0 else random.randint(0, MAX_SEED),
        )
        session = ChatSession(engine, persona_from(persona), turns_from(history), settings)
        yield from _answer(session, typed(message), consent, record, log)

    chat.__doc__ = DOCUMENTATION.format(message="what the user says.") + CONSENT_DOCUMENTATION
    return chat


def _answer(
    session: ChatSession, said: str, consent: Any, record: Record, log: FeedbackLog | None
) -> Iterator[str]:
    """The growing reply; in the end, or where it was stopped, its details are in the record and the log."""
    place = _make_room(record, len(session.turns))
    started, reply = time.perf_counter(), ""
    try:
        with closing(session.ask(said, record.get("rejected", ()))) as replies:
            for reply in replies:
                yield reply
    except EngineBusy as error:
        raise gr.Error(f"The model is {error}.", print_exception=False) from None
    finally:
        if reply and said:
            found = _details(session, reply, time.perf_counter() - started)
            record["replies"][place] = asdict(found)
            if log:
                log.reply(
                    consent,
                    record["id"],
                    said,
                    reply,
                    persona=session.persona,
                    settings=session.settings,
                    model=published(session.engine.name),
                    seconds=found.seconds,
                    tokens=found.tokens,
                    fallback=reply == FALLBACK_REPLY,
                )


def asker(engine: ChatEngine) -> Callable[..., str]:
    """The function that answers one message without a conversation; the MCP tool takes its name."""
    answer, own = answerer(engine, None), engine.settings

    def chat(
        message: str,
        persona: str = "",
        temperature: float = own.temperature,
        top_p: float = own.top_p,
        top_k: int = own.top_k,
        max_new_tokens: int = own.max_new_tokens,
        best_of: int = own.best_of,
        seed: int = ANY_SEED,
    ) -> str:
        settings = (temperature, top_p, top_k, max_new_tokens, best_of, seed)
        return [*answer(message, [], persona, *settings, False, new_record())][-1]

    chat.__doc__ = DOCUMENTATION.format(message="what the user says; it is the whole conversation.")
    return chat


def id_of(record: Record, turns: int) -> str:
    """The conversation's id; a new one where it has just begun, or the server has forgotten it.

    Args:
        turns: that it has.
    """
    if not record.get("id"):
        record |= {**new_record(), "continues": turns > 0}
    return record["id"]


def _make_room(record: Record, turns: int) -> str:
    """The place of the next reply, and only those before it in the record.

    Args:
        turns: before the message; beyond `MAX_TURNS` the oldest go.
    """
    id_of(record, turns)
    gone = max(0, turns + 2 - MAX_TURNS)
    before = {int(place) - gone: each for place, each in record.get("replies", {}).items()}
    record["replies"] = {str(place): each for place, each in before.items() if 0 <= place < turns - gone}
    return str(turns + 1 - gone)


def _details(session: ChatSession, reply: str, seconds: float) -> ReplyDetails:
    [ids] = encode_texts(session.engine.tokenizer, [reply])
    return ReplyDetails(reply, "\n".join(session.persona), session.settings.seed, round(seconds, 3), len(ids))


def about_reply(engine: ChatEngine, history: Any, persona: str, record: Record, place: int | None) -> str:
    """What is known of a reply, as text: the persona's sentence that it leans on, speed and seed.

    Args:
        persona: where it is not known which one the reply was drawn for.
        place: of the reply among the messages; None is the last.
    """
    turns = turns_from(history)
    place = len(turns) - 1 if place is None else place
    if not 0 < place < len(turns) or turns[place]["role"] != ASSISTANT:
        return "There is no reply here yet: say something, or click on a reply of the bot."
    reply = turns[place]["content"]
    kept = record.get("replies", {}).get(str(place))
    found = ReplyDetails(**kept) if kept and kept["reply"] == reply else None
    drawn_for = persona_from(found.persona if found else persona)
    lines = [f'"{reply}"', _leaning_line(engine, drawn_for, turns[place - 1]["content"], reply)]
    if not found:
        return "\n".join([*lines, "Its speed and seed are not known: it was not drawn on this page."])
    speed = found.tokens / max(found.seconds, 1e-3)
    lines.append(f"{found.tokens} tokens in {found.seconds:.2f} s: {speed:.0f} tokens per second.")
    return "\n".join([*lines, f"Seed {found.seed}"])


def _leaning_line(engine: ChatEngine, persona: tuple[str, ...], message: str, reply: str) -> str:
    if not persona:
        return "It has no persona to lean on."
    try:
        found = leaning(engine, persona, message, reply)
    except EngineBusy as error:
        return f"What it leans on is not known: the model is {error}."
    if found is None:
        return "It leans on no sentence of the persona."
    times = f"{found.times:,.0f}" if found.times < 1e6 else "more than a million"
    return f'It leans on "{found.sentence}", which makes it {times} times as probable as the others do.'
