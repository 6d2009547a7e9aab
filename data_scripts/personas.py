"""Whose a persona is: the facts of a persona are told, in its words, by the speaker that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable

from chat.dialogue import ASSISTANT, USER, Turn

_WORD = re.compile(r"[a-z0-9]+")
_STOP_WORDS = set(
    """
    a about am an and are as at be been but do does for from had has have i in is it like m me my not of on
    or s so t that the they to ve was we were will with would
    """.split()  # noqa: SIM905
)


def shares_told(turns: Iterable[Turn], text: str) -> dict[str, float]:
    """By role, the share of the text's content words that its speaker says; 0 to 1."""
    words = _words(text)
    said: dict[str, set[str]] = {USER: set(), ASSISTANT: set()}
    for turn in turns:
        said[turn.role] |= _words(turn.text)
    return {role: len(words & of_role) / max(len(words), 1) for role, of_role in said.items()}


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower())) - _STOP_WORDS
