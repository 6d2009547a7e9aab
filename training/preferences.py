"""Replies that readers marked, and the pairs of a good and a bad one that preference tuning learns from.

A file of marks has one object a line: a conversation that waits for a reply, and replies to it of both kinds.

    {"persona": ["I have two cats."], "turns": [{"role": "user", "text": "Any pets?"}],
     "good": ["Yes, two cats."], "bad": ["No, I don't."]}
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chat.cli import UserError
from chat.dialogue import ASSISTANT, USER, Dialogue, Turn


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

    def pairs(self) -> Iterator[tuple[str, str]]:
        return itertools.product(self.good, self.bad)


def read_marks(path: str | Path, flag: str = "--marks") -> list[Marks]:
    """All marks of a file.

    Raises:
        UserError: no such file, a line that is none (named by its number), or no place with both kinds.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise UserError(
            f"{flag} {path}: cannot be read ({reason}); give a file of marks (JSON lines)"
        ) from None
    marks = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                marks.append(_marks(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                reason = f"missing {error}" if isinstance(error, KeyError) else str(error)
                raise UserError(f"{flag} {path}: line {number} is not marks ({reason}); mend it") from None
    if not any(each.good and each.bad for each in marks):
        raise UserError(f"{flag} {path}: no line has both a good and a bad reply; give at least one")
    return marks


def _marks(record: dict[str, Any]) -> Marks:
    turns = tuple(Turn(turn["role"], turn["text"].strip()) for turn in record["turns"])
    expected = itertools.cycle((USER, ASSISTANT))
    if len(turns) % 2 == 0 or any(turn.role != role for turn, role in zip(turns, expected, strict=False)):
        raise ValueError("`turns` must be the user's and the assistant's in turn, first and last the user's")
    return Marks(
        Dialogue("marks", turns, tuple(_texts(record, "persona"))),
        tuple(_texts(record, "good")),
        tuple(_texts(record, "bad")),
    )


def _texts(record: dict[str, Any], key: str) -> list[str]:
    texts = record.get(key, [])
    if not isinstance(texts, list):
        raise ValueError(f"`{key}` must be a list of sentences")
    return [text.strip() for text in texts]


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


def preference_pairs(marks: Iterable[Marks], pairs_per_place: int, seed: int) -> list[dict[str, list[dict]]]:
    """At most `pairs_per_place` good and bad replies to the same, as `trl` takes them."""
    random_ = random.Random(seed)
    found = []
    for each in marks:
        prompt, pairs = each.conversation.messages(), list(each.pairs())
        for good, bad in random_.sample(pairs, min(pairs_per_place, len(pairs))):
            found.append({"prompt": prompt, "chosen": _said(good), "rejected": _said(bad)})
    return found


def like_lengths_together(
    pairs: Sequence[dict[str, list[dict]]], batch_size: int, seed: int
) -> list[dict[str, list[dict]]]:
    """The pairs in an order in which each batch, but for the last, has prompts of about one length."""
    by_length = sorted(pairs, key=lambda pair: sum(len(message["content"]) for message in pair["prompt"]))
    batches = [by_length[start : start + batch_size] for start in range(0, len(pairs), batch_size)]
    whole = batches[: len(pairs) // batch_size]
    random.Random(seed).shuffle(whole)
    return list(itertools.chain(*whole, *batches[len(whole) :]))


def _said(reply: str) -> list[dict[str, str]]:
    return [{"role": ASSISTANT, "content": reply}]
