"""The flags of `python -m chat`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from chat.cli import UserError
from chat.decoding import DecodingSettings, span
from chat.engine import EngineName


@dataclass(frozen=True)
class ChatArguments:
    model: str | None = field(
        default=None,
        metadata={"help": "Path or Hub id (default: MODEL_ID, else final_model/, else the embedded model)."},
    )
    engine: EngineName = field(
        default="auto",
        metadata={"help": "auto: openvino for a GPT-2 on a machine without an accelerator, else torch."},
    )
    persona: list[str] = field(
        default_factory=list, metadata={"help": 'Sentences about the assistant: --persona "I have two cats."'}
    )
    once: str | None = field(
        default=None, metadata={"help": 'One message, of which only the reply is printed: --once "Hi!"'}
    )
    greedy: bool = field(
        default=False, metadata={"help": "Take the most probable token instead of sampling."}
    )
    temperature: float | None = field(
        default=None, metadata={"help": f"Lower is more predictable ({span('temperature')})."}
    )
    top_p: float | None = field(
        default=None, metadata={"help": f"Nucleus: share of probability kept ({span('top_p')})."}
    )
    top_k: int | None = field(
        default=None, metadata={"help": f"Most probable tokens kept ({span('top_k')}; 0: all)."}
    )
    max_new_tokens: int | None = field(
        default=None, metadata={"help": f"Longest reply, in tokens ({span('max_new_tokens')})."}
    )
    best_of: int | None = field(
        default=None, metadata={"help": f"Replies to draw, of which the best is given ({span('best_of')})."}
    )
    frequency_penalty: float | None = field(
        default=None,
        metadata={
            "help": f"Taken from a token's logit each time the reply has it ({span('frequency_penalty')})."
        },
    )
    seed: int | None = field(default=None, metadata={"help": "Same seed, same words: same replies."})

    def __post_init__(self) -> None:
        if self.once is not None and not self.once.strip():
            raise UserError('--once: has no text; give a message, such as --once "Hi!"')

    def settings(self) -> dict[str, Any]:
        """The decoding settings that were asked for."""
        names = {each.name for each in fields(DecodingSettings)} & {each.name for each in fields(self)}
        asked = {name: value for name in sorted(names) if (value := getattr(self, name)) is not None}
        return asked | ({"do_sample": False} if self.greedy else {})
