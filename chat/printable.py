"""What somebody else has written, a model or a file, on its way to a terminal: text, and no orders."""

from __future__ import annotations

import unicodedata

REPLACEMENT = "\ufffd"
# They turn the direction of what follows, beyond the text that they stand in.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """The text with U+FFFD for what a terminal would obey: control characters, but for tabs and line ends."""
    return "".join(REPLACEMENT if _is_obeyed(each) else each for each in text)


def _is_obeyed(character: str) -> bool:
    if character in "\n\t":
        return False
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _DIRECTIONS
