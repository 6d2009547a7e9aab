"""What may neither be asked nor said. On by default; `engine.guard` takes another guard, or None."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Protocol

from chat.cli import UserError

GUARD_VARIABLE = "CONTENT_GUARD"
BLOCKED_REPLY = "I would rather talk about something else. What else is on your mind?"
# Selectors of a character's variant, combining marks by their category.
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_WHITE_SPACE = "\t\n\v\f\r\x85"


class ContentGuard(Protocol):
    def blocks(self, text: str) -> bool:
        """Whether the text is not to be answered, or not to be said. Called often, from many threads."""


class ProfanityGuard:
    """English swear words and slurs, spelt with other characters too, as `glin-profanity` lists them.

    It knows words, not meaning: insults without them and threats pass.
    """

    def __init__(self):
        from glin_profanity import Filter

        self._filter = Filter({"languages": ["english"], "detect_leetspeak": True})

    def blocks(self, text: str) -> bool:
        visible = _visible(text)
        # The filter takes `_` for a masked letter, as in f_ck, and within a word; it may stand between words.
        return any(self._filter.is_profane(each) for each in {visible, visible.replace("_", " ")})


def _visible(text: str) -> str:
    """The text without the control and format characters, tags and selectors that may hide in a word."""
    return "".join(
        each
        for each in _SELECTORS.sub("", text)
        if each in _WHITE_SPACE or unicodedata.category(each) not in ("Cc", "Cf")
    )


# One for all engines.
_profanity_guard = cache(ProfanityGuard)


def default_guard() -> ContentGuard | None:
    """The guard of new engines: none where CONTENT_GUARD is `off`.

    Raises:
        UserError: the variable says something else.
    """
    return _profanity_guard() if is_wanted(os.environ) else None


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether CONTENT_GUARD asks for a guard, as it does where it is not set.

    Raises:
        UserError: the variable says something else than on or off.
    """
    given = environment.get(GUARD_VARIABLE, "").strip().lower() or "on"
    if given not in ("on", "off"):
        raise UserError(f"{GUARD_VARIABLE} {given}: give on or off")
    return given == "on"
