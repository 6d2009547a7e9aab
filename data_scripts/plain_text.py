"""Dialogues as plain text, from which a base model learns English before it learns to chat.

A document is the turns' texts, a line each, between two end-of-text tokens: no role, no persona, no speaker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chat.dialogue import Dialogue
from chat.sequences import IGNORED_LABEL, TrainingSequence
from chat.template import encode_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode_plain_texts(
    tokenizer: PreTrainedTokenizerBase, dialogues: Sequence[Dialogue], max_length: int
) -> list[list[TrainingSequence]]:
    """Per dialogue its document, as sequences of at most `max_length` tokens.

    Every token but the first end-of-text is a label exactly once: a long document's sequences overlap by the
    one token that stands before a sequence's first label. `replies` counts the turns, all in the first one.
    """
    texts = ["\n".join(turn.text for turn in dialogue.turns) for dialogue in dialogues]
    border = [tokenizer.eos_token_id]
    return [
        _sequences([*border, *ids, *border], len(dialogue.turns), max_length)
        for dialogue, ids in zip(dialogues, encode_texts(tokenizer, texts), strict=True)
    ]


def _sequences(ids: list[int], turns: int, max_length: int) -> list[TrainingSequence]:
    sequences = []
    for start in range(0, len(ids) - 1, max_length - 1):
        part = ids[start : start + max_length]
        sequences.append(
            TrainingSequence(part, [IGNORED_LABEL, *part[1:]], turns if start == 0 else 0, replies_cut=0)
        )
    return sequences
