"""A user's own corpus: dialogues as JSON lines, in the layout of `chat.jsonl`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chat.cli import UserError
from chat.dialogue import Dialogue
from chat.jsonl import NAME, read


def load(path: str | None, keep_raw_text: bool, dropped: Counter) -> Iterator[Dialogue]:
    """Dialogues of the file, their text as it stands. See `cornell.load` for the arguments."""
    del keep_raw_text
    if path is None:
        raise UserError(f"--corpora {NAME}: give the file as {NAME}=FILE.jsonl")
    return read(path, dropped, flag="--corpora")
