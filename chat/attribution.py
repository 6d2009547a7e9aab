"""Which sentence of the persona a reply leans on, by the model's own probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chat.dialogue import SYSTEM, USER

if TYPE_CHECKING:
    from chat.engine import ChatEngine

# A sentence that makes a reply less than e times as probable may do so by chance.
MIN_GAIN_NATS = 1.0
# Beside it a lone sentence can be weighed. Not beside no persona at all: a model that has seldom seen such a
# conversation finds any reply there less probable, small talk too.
NEUTRAL_SENTENCE = "I am a person."


@dataclass(frozen=True)
class Leaning:
    """
    Attributes:
        sentence: of the persona.
        gain_nats: log P(reply | it, the user's last message) less that under the other sentences.
    """

    sentence: str
    gain_nats: float

    @property
    def times(self) -> float:
        """How many times as probable it makes the reply as the others do."""
        return math.exp(min(self.gain_nats, 700.0))


def leaning(engine: ChatEngine, persona: tuple[str, ...], message: str, reply: str) -> Leaning | None:
    """The sentence that makes the reply to this message most probable; None where none does much for it.

    Each is tried alone, with the model that drew the reply: its P(reply | sentence, message) against the mean
    of those of the other sentences and of a neutral one.

    Raises:
        EngineBusy: too many others are waiting for the engine.
    """
    if not persona or not reply:
        return None
    asked = {"role": USER, "content": message}
    sentences = (NEUTRAL_SENTENCE, *dict.fromkeys(persona))
    scores = engine.log_probs([[{"role": SYSTEM, "content": each}, asked] for each in sentences], reply)
    best = max(range(1, len(scores)), key=scores.__getitem__)
    gain = scores[best] - _log_mean([*scores[:best], *scores[best + 1 :]])
    return Leaning(sentences[best], gain) if gain >= MIN_GAIN_NATS else None


def _log_mean(log_probs: list[float]) -> float:
    """The logarithm of the mean of these probabilities."""
    highest = max(log_probs)
    return highest + math.log(sum(math.exp(each - highest) for each in log_probs) / len(log_probs))
