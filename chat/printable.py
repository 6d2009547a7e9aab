"""What somebody else has written, a model or a file, on its way to a terminal: text, and no orders."""

from __future__ import annotations

import logging
import unicodedata

REPLACEMENT = "\ufffd"
# They turn the direction of what follows, beyond the text that they stand in. The marks in Hebrew and Arabic
# texts (U+061C, U+200E, U+200F) open nothing.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """The text with U+FFFD for what a terminal would obey: control characters, but for tabs and line ends."""
    return "".join(REPLACEMENT if _is_obeyed(each) else each for each in text)


def _is_obeyed(character: str) -> bool:
    if character in "\n\t":
        return False
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _DIRECTIONS


class PrintableFormatter(logging.Formatter):
    """Of messages that may tell values of a file."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
