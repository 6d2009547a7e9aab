"""The terminal chat.

python -m chat                                   # the model you trained, else the embedded one
python -m chat --model user/model --persona "I have two cats." "I am a nurse."
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from chat.cli import parse_arguments, run

if TYPE_CHECKING:
    from chat.session import ChatSession

PROMPT = "You: "
REPLY_PREFIX = "GPT-2: "


@dataclass(frozen=True)
class ChatArguments:
    model: str | None = field(
        default=None,
        metadata={"help": "Path or Hub id (default: MODEL_ID, else final_model/, else the embedded model)."},
    )
    engine: Literal["auto", "torch", "openvino"] = field(
        default="auto",
        metadata={"help": "auto: openvino for a GPT-2 on a machine without an accelerator, else torch."},
    )
    persona: list[str] = field(
        default_factory=list, metadata={"help": 'Sentences about the assistant: --persona "I have two cats."'}
    )
    greedy: bool = field(
        default=False, metadata={"help": "Take the most probable token instead of sampling."}
    )
    temperature: float | None = field(
        default=None, metadata={"help": "Lower is more predictable (0.1 to 1.5)."}
    )
    top_p: float | None = field(
        default=None, metadata={"help": "Nucleus: share of probability kept (0.05 to 1)."}
    )
    top_k: int | None = field(
        default=None, metadata={"help": "Most probable tokens kept (0: all; up to 200)."}
    )
    max_new_tokens: int | None = field(
        default=None, metadata={"help": "Longest reply, in tokens (1 to 200)."}
    )
    best_of: int | None = field(
        default=None, metadata={"help": "Replies to draw, of which the best is given (1 to 16)."}
    )
    frequency_penalty: float | None = field(
        default=None, metadata={"help": "Taken from a token's logit each time the reply has it (0 to 2)."}
    )
    seed: int | None = field(default=None, metadata={"help": "Same seed, same words: same replies."})


def converse(session: ChatSession) -> None:
    """Reads the user's lines and answers them until `exit` or the end of input."""
    while True:
        try:
            text = _read_line()
        except EOFError:
            return
        if text.lower() == "exit":
            return
        if text:
            _answer(session, text)


def _read_line() -> str:
    """The user's next line. One from a pipe is echoed, so that the output reads as a conversation."""
    if sys.stdin.isatty():
        return input(PROMPT).strip()
    text = input().strip()
    print(f"{PROMPT}{text}")
    return text


def _answer(session: ChatSession, text: str) -> None:
    """Prints the reply as it grows; a reply that is drawn anew starts on a line of its own."""
    live = sys.stdout.isatty()
    print(REPLY_PREFIX, end="", flush=True)
    shown = reply = ""
    for reply in session.ask(text):
        if live and reply.startswith(shown):
            print(reply[len(shown) :], end="", flush=True)
        elif live:
            print(f"\n{REPLY_PREFIX}{reply}", end="", flush=True)
        shown = reply
    print("" if live else reply)


def main() -> None:
    arguments = parse_arguments(ChatArguments, description=__doc__.splitlines()[0])
    from chat.engine import default_model, load_engine
    from chat.session import ChatSession, persona_from

    engine = load_engine(arguments.model or default_model(), engine=arguments.engine)
    settings = engine.settings.changed(
        do_sample=False if arguments.greedy else None,
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        top_k=arguments.top_k,
        max_new_tokens=arguments.max_new_tokens,
        best_of=arguments.best_of,
        frequency_penalty=arguments.frequency_penalty,
        seed=arguments.seed,
    )
    print(f"Chatting with {engine.name}. It is a small language model: it makes things up. `exit` leaves.")
    converse(ChatSession(engine, persona_from(arguments.persona), settings=settings))


if __name__ == "__main__":
    run(main)
