"""What answers a message on the page, with what the page can tell about each reply afterwards."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from chat.attribution import leaning
from chat.decoding import MAX_SEED
from chat.dialogue import ASSISTANT, USER
from chat.engine import FALLBACK_REPLY, ChatEngine, EngineBusy
from chat.page.text_chatbot import meant
from chat.session import ChatSession, message_from, persona_from
from chat.template import content_text

if TYPE_CHECKING:
    from chat.feedback import FeedbackLog

# What is kept of a conversation beside its messages: `id`, and `replies`, the details of each by its place
# among the messages (as text: JSON has no other keys).
Record = dict[str, Any]


def new_record() -> Record:
    return {"id": uuid.uuid4().hex, "replies": {}}


@dataclass(frozen=True)
class ReplyDetails:
    """
    Attributes:
        reply: the text that these are about; where another stands in its place they are out of date.
        seed: with the same settings and conversation it draws the same reply.
        seconds: from asking to the end of the reply.
        tokens: of the reply.
    """

    reply: str
    seed: int
    seconds: float
    tokens: int


def turns_from(history: Any) -> list[dict[str, str]]:
    """The conversation that a chatbot component holds, as the engine takes it."""
    return [
        {"role": turn["role"], "content": content_text(turn["content"])}
        for turn in history or []
        if turn.get("role") in (USER, ASSISTANT)
    ]


def answerer(engine: ChatEngine, log: FeedbackLog | None) -> Callable[..., Iterator[tuple[str, Record]]]:
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
    ) -> Iterator[tuple[str, Record]]:
        """Answers a message as a small language model that makes things up, in the voice of a persona.

        Args:
            message: what the user says.
            persona: who answers: first-person sentences, one a line.
            temperature: lower is more predictable.
            top_p: share of the probability that words are drawn from.
            top_k: most probable words that are drawn from; 0 is all.
            max_new_tokens: longest reply, in tokens.
            best_of: replies that are drawn, of which the best is given.
            seed: draws the same reply again; -1 takes another one each time.
            consent: whether message and reply may be kept by those who run this page.
        """
        settings = engine.settings.changed(
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            max_new_tokens=max_new_tokens,
            best_of=best_of,
            seed=random.randint(0, MAX_SEED) if seed is None or seed < 0 else seed,
        )
        turns = turns_from(history)
        said = meant(message) if isinstance(message, str) else message
        session = ChatSession(engine, persona_from(persona), turns, settings)
        record = record if record.get("id") else new_record()
        place, started = str(len(turns) + 1), time.perf_counter()
        reply = ""
        try:
            for reply in session.ask(said):
                record["replies"][place] = _details(engine, reply, settings.seed, started)
                yield reply, record
        except EngineBusy as error:
            raise gr.Error(str(error), print_exception=False) from None
        if log and place in record["replies"]:
            _keep(log, consent, record, place, message_from(said), session)

    return chat


def _details(engine: ChatEngine, reply: str, seed: int, started: float) -> dict[str, Any]:
    tokens = len(engine.tokenizer(reply, add_special_tokens=False)["input_ids"])
    return asdict(ReplyDetails(reply, seed, time.perf_counter() - started, tokens))


def _keep(
    log: FeedbackLog, consent: Any, record: Record, place: str, message: str, session: ChatSession
) -> None:
    found = ReplyDetails(**record["replies"][place])
    log.reply(
        consent is True,
        record["id"],
        message,
        found.reply,
        persona=session.persona,
        settings=session.settings,
        model=session.engine.name,
        seed=found.seed,
        seconds=found.seconds,
        tokens=found.tokens,
        fallback=found.reply == FALLBACK_REPLY,
    )


def about_reply(engine: ChatEngine, history: Any, persona: str, record: Record, place: int | None) -> str:
    """What is known of a reply, as text: the persona's sentence that it leans on, speed and seed.

    Args:
        place: of the reply among the messages; None is the last.
    """
    turns = turns_from(history)
    place = len(turns) - 1 if place is None else place
    if not 0 < place < len(turns) or turns[place]["role"] != ASSISTANT:
        return "There is no reply here: say something, or click on a reply of GPT-2."
    reply = turns[place]["content"]
    lines = [f'"{reply}"', _leaning_line(engine, persona_from(persona), turns[place - 1]["content"], reply)]
    kept = record["replies"].get(str(place))
    if kept and kept["reply"] == reply:
        found = ReplyDetails(**kept)
        speed = found.tokens / max(found.seconds, 1e-3)
        lines.append(f"{found.tokens} tokens in {found.seconds:.2f} s: {speed:.0f} tokens per second.")
        lines.append(f"Seed {found.seed}")
    else:
        lines.append("Its speed and seed are not known: it was not drawn on this page.")
    return "\n".join(lines)


def _leaning_line(engine: ChatEngine, persona: tuple[str, ...], message: str, reply: str) -> str:
    if not persona:
        return "It has no persona to lean on."
    try:
        found = leaning(engine, persona, message, reply)
    except EngineBusy as error:
        return f"What it leans on is not known: the model is {error}."
    if found is None:
        return "It leans on no sentence of the persona."
    return f'It leans on "{found.sentence}", which alone makes it {found.times:,.0f} times as probable.'
