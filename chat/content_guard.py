"""What may neither be asked nor said. On by default; `engine.guard` takes another guard, or None."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

from chat.cli import UserError

GUARD_VARIABLE = "CONTENT_GUARD"
BLOCKED_REPLY = "I would rather talk about something else. What else is on your mind?"


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
        return self._filter.is_profane(text)


@lru_cache(maxsize=1)
def _profanity_guard() -> ProfanityGuard:
    return ProfanityGuard()


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
