"""Whether an exported model says what torch says: logits, greedy replies, perplexity of dialogues."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from chat import jsonl
from chat.cli import UserError
from chat.sequences import IGNORED_LABEL, TrainingSequence, encode_dialogues
from chat.template import control_token_ids

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAX_PERPLEXITY_CHANGE = 0.01
GREEDY_PROMPTS = 8
GREEDY_TOKENS = 16
MAX_SEQUENCES = 60
HOPELESS = 1e4


class Decoder(Protocol):
    """A model with its key/value cache, one conversation at a time."""

    def start(self) -> None:
        """Forgets what was fed."""

    def feed(self, ids: Sequence[int]) -> np.ndarray:
        """Logits (tokens, vocabulary) after each of these further tokens."""


class TorchDecoder:
    """The reference."""

    def __init__(self, model: PreTrainedModel):
        self.model = model
        self.start()

    def start(self) -> None:
        from transformers import DynamicCache

        self.cache = DynamicCache(config=self.model.config)

    def feed(self, ids: Sequence[int]) -> np.ndarray:
        import torch

        with torch.inference_mode():
            # The cache by its place: its name is not the same in all releases of transformers.
            logits = self.model(torch.tensor([list(ids)]), self.cache, use_cache=True).logits
        return logits[0].float().numpy()


@dataclass(frozen=True)
class Suppressed:
    """Another decoder, whose control tokens have no chance, as in every reply."""

    decoder: Decoder
    ids: list[int]

    def start(self) -> None:
        self.decoder.start()

    def feed(self, ids: Sequence[int]) -> np.ndarray:
        logits = self.decoder.feed(ids).copy()
        logits[:, self.ids] = logits.max() - HOPELESS
        return logits


@dataclass(frozen=True)
class ExportCheck:
    """An export beside torch in float32.

    Attributes:
        perplexity, torch_perplexity: of the replies, end of turn included, with each model.
        largest_difference: of a log probability, over the positions of the greedy prompts.
        greedy_replies, equal_greedy_replies: that were compared, and that are the same to the token.
    """

    perplexity: float
    torch_perplexity: float
    largest_difference: float
    greedy_replies: int
    equal_greedy_replies: int

    @property
    def perplexity_change(self) -> float:
        return self.perplexity / self.torch_perplexity - 1

    @property
    def holds(self) -> bool:
        """Whether the perplexity is within `MAX_PERPLEXITY_CHANGE` of torch's."""
        return abs(self.perplexity_change) <= MAX_PERPLEXITY_CHANGE

    def to_json(self) -> dict:
        return {**asdict(self), "perplexity_change": self.perplexity_change}

    def __str__(self) -> str:
        return (
            f"perplexity {self.perplexity:.2f}, {self.perplexity_change:+.2%} of torch's "
            f"{self.torch_perplexity:.2f}; largest difference of log probabilities "
            f"{self.largest_difference:.3g}; {self.equal_greedy_replies} of {self.greedy_replies} greedy "
            "replies are torch's"
        )


def to_compare(
    dialogues: str | Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> list[TrainingSequence]:
    """What an export of the model is compared on.

    Args:
        dialogues: JSON lines (see `chat.jsonl`).

    Raises:
        UserError: no such file, a line of it is no dialogue, or there is no reply in them.
    """
    room = model.config.max_position_embeddings - GREEDY_TOKENS
    encoded = encode_dialogues(tokenizer, list(jsonl.read(dialogues, flag="--dialogues")), room)
    sequences = [sequence for each in encoded for sequence in each if sequence.replies][:MAX_SEQUENCES]
    if not sequences:
        raise UserError(f"--dialogues {dialogues}: has no reply to compare; give dialogues with replies")
    return sequences


def check(
    exported: Decoder,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sequences: list[TrainingSequence],
) -> ExportCheck:
    """Compares an export with the model that it was made from."""
    exported, torch_decoder = (
        Suppressed(each, control_token_ids(tokenizer)) for each in (exported, TorchDecoder(model))
    )
    pairs = [
        (_greedy(exported, prompt), _greedy(torch_decoder, prompt))
        for prompt in map(_prompt_of, sequences[:GREEDY_PROMPTS])
    ]
    return ExportCheck(
        perplexity=_perplexity(exported, sequences),
        torch_perplexity=_perplexity(torch_decoder, sequences),
        largest_difference=_largest_difference(exported, torch_decoder, sequences[:GREEDY_PROMPTS]),
        greedy_replies=len(pairs),
        equal_greedy_replies=sum(mine == reference for mine, reference in pairs),
    )


def _prompt_of(sequence: TrainingSequence) -> list[int]:
    """Up to the last reply, whose role token it ends with."""
    supervised = [index for index, label in enumerate(sequence.labels) if label != IGNORED_LABEL]
    start = next(index for index in reversed(supervised) if index - 1 not in set(supervised))
    return sequence.input_ids[:start]


def _greedy(decoder: Decoder, prompt: list[int]) -> list[int]:
    decoder.start()
    logits, ids = decoder.feed(prompt), []
    for _ in range(GREEDY_TOKENS):
        ids.append(int(logits[-1].argmax()))
        logits = decoder.feed(ids[-1:])
    return ids


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, in float64."""
    import torch

    return torch.from_numpy(logits).double().log_softmax(-1).numpy()


def _perplexity(decoder: Decoder, sequences: list[TrainingSequence]) -> float:
    import numpy as np

    nats = tokens = 0.0
    for sequence in sequences:
        decoder.start()
        labels = np.array(sequence.labels[1:])
        rows = np.flatnonzero(labels != IGNORED_LABEL)
        log_probs = log_softmax(decoder.feed(sequence.input_ids[:-1])[rows])
        nats -= log_probs[np.arange(len(rows)), labels[rows]].sum()
        tokens += len(rows)
    return math.exp(nats / tokens)


def _largest_difference(exported: Decoder, reference: Decoder, sequences: list[TrainingSequence]) -> float:
    import numpy as np

    largest = 0.0
    for sequence in sequences:
        exported.start()
        reference.start()
        mine, theirs = (log_softmax(each.feed(sequence.input_ids)) for each in (exported, reference))
        drawable = theirs > -HOPELESS / 2
        largest = max(largest, float(np.abs(mine - theirs)[drawable].max()))
    return largest
