"""The flags of `python -m chat`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from chat.cli import UserError
from chat.decoding import DecodingSettings
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

    def __post_init__(self) -> None:
        if self.once is not None and not self.once.strip():
            raise UserError('--once: has no text; give a message, such as --once "Hi!"')

    def settings(self) -> dict[str, Any]:
        """The decoding settings that were asked for."""
        names = {each.name for each in fields(DecodingSettings)} & {each.name for each in fields(self)}
        asked = {name: value for name in sorted(names) if (value := getattr(self, name)) is not None}
        return asked | ({"do_sample": False} if self.greedy else {})
