"""Replies that readers marked as good or bad, from which preference tuning learns.

A file of marks has one object a line: a conversation that waits for a reply, and replies to it of both kinds.

    {"persona": ["I have two cats."], "turns": [{"role": "user", "text": "Any pets?"}],
     "good": ["Yes, two cats."], "bad": ["No, I don't."]}
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chat.cli import UserError
from chat.dialogue import ASSISTANT, USER, Dialogue, Turn
from chat.jsonl import parsed
from chat.template import encode_prompt, encode_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Marks:
    """What readers thought of replies at one place of a conversation.

    Attributes:
        conversation: persona and turns, of which the last is the user's.
        good, bad: replies to it.
    """

    conversation: Dialogue
    good: tuple[str, ...]
    bad: tuple[str, ...]


def read_marks(path: str | Path) -> list[Marks]:
    """All marks of a file.

    Raises:
        UserError: no such file, a line that is none (named by its number), or no place with both kinds.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise UserError(
            f"--marks {path}: cannot be read ({reason}); give a file of marks (JSON lines)"
        ) from None
    marks = list(parsed(lines, _marks, f"--marks {path}", "marks"))
    if not any(each.good and each.bad for each in marks):
        raise UserError(f"--marks {path}: no line has both a good and a bad reply; give at least one")
    return marks


def _marks(record: dict[str, Any]) -> Marks:
    turns = tuple(Turn(turn["role"], turn["text"].strip()) for turn in record["turns"])
    expected = itertools.cycle((USER, ASSISTANT))
    if len(turns) % 2 == 0 or any(turn.role != role for turn, role in zip(turns, expected, strict=False)):
        raise ValueError("`turns` must be the user's and the assistant's in turn, first and last the user's")
    conversation = Dialogue("marks", turns, _texts(record, "persona"))
    return Marks(conversation, _texts(record, "good"), _texts(record, "bad"))


def _texts(record: dict[str, Any], key: str) -> tuple[str, ...]:
    texts = record.get(key, [])
    if not isinstance(texts, list):
        raise ValueError(f"`{key}` must be a list of sentences")
    return tuple(text.strip() for text in texts)


def hold_out(marks: Sequence[Marks], share: float, seed: int) -> tuple[list[Marks], list[Marks]]:
    """Marks to learn from and to check with: none of one conversation is on both sides."""
    opening = [(each.conversation.persona, each.conversation.turns[0]) for each in marks]
    conversations = list(dict.fromkeys(opening))
    random.Random(seed).shuffle(conversations)
    held_out = set(conversations[: round(share * len(conversations))])
    sides: tuple[list[Marks], list[Marks]] = ([], [])
    for each, of in zip(marks, opening, strict=True):
        sides[of in held_out].append(each)
    return sides


def encode_marks(
    marks: Iterable[Marks], tokenizer: PreTrainedTokenizerBase, positions: int
) -> list[dict[str, Any]]:
    """Ids of the places that have replies of both kinds, as `RepliesCollator` takes them.

    Where conversation and longest reply exceed `positions`, the oldest turns are left out, as in a chat.
    """
    encoded = []
    for each in marks:
        if each.good and each.bad:
            texts = encode_texts(tokenizer, [*each.good, *each.bad])
            replies = [[*ids, tokenizer.eos_token_id] for ids in texts]
            room = positions - max(map(len, replies))
            if room > 1:
                good = [True] * len(each.good) + [False] * len(each.bad)
                prompt = encode_prompt(tokenizer, each.conversation.messages(), room)
                encoded.append({"prompt_ids": prompt, "replies": replies, "good": good})
    return encoded


def like_lengths_together(places: Sequence[dict], batch_size: int, seed: int) -> list[dict]:
    """The places in an order in which each batch, but for the last, has prompts of about one length."""
    by_length = sorted(places, key=lambda place: len(place["prompt_ids"]))
    batches = [by_length[start : start + batch_size] for start in range(0, len(places), batch_size)]
    whole = batches[: len(places) // batch_size]
    random.Random(seed).shuffle(whole)
    return list(itertools.chain(*whole, *batches[len(whole) :]))
