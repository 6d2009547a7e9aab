"""Which sentence of the persona a reply leans on, by the model's own probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chat.dialogue import SYSTEM, USER

if TYPE_CHECKING:
    from chat.engine import ChatEngine

# A sentence that makes a reply less than e times as probable is as well a chance.
MIN_GAIN_NATS = 1.0


@dataclass(frozen=True)
class Leaning:
    """
    Attributes:
        sentence: of the persona.
        gain_nats: by how much it alone raises log P(reply | the user's last message).
    """

    sentence: str
    gain_nats: float

    @property
    def times(self) -> float:
        """How many times as probable it makes the reply."""
        return math.exp(self.gain_nats)


def leaning(engine: ChatEngine, persona: tuple[str, ...], message: str, reply: str) -> Leaning | None:
    """The sentence that makes the reply to this message most probable; None where none does much for it.

    Each is tried alone: log P(reply | sentence, message) - log P(reply | message), with the model that drew
    the reply, whatever words it shares with the sentence.

    Raises:
        EngineBusy: too many others are waiting for the engine.
    """
    if not persona or not reply:
        return None
    asked = [{"role": USER, "content": message}]
    alone, *scores = engine.log_probs(
        [asked, *([{"role": SYSTEM, "content": sentence}, *asked] for sentence in persona)], reply
    )
    score, sentence = max(zip(scores, persona, strict=True))
    return Leaning(sentence, score - alone) if score - alone >= MIN_GAIN_NATS else None
