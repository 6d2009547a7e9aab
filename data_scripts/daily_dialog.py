"""DailyDialog (Li et al., 2017), read with `datasets`: everyday dialogues without personas. CC BY-NC-SA 4.0.

The original Hub repository needs a loading script, which `datasets` no longer runs: give the path of a copy
in parquet or JSON with the column `dialog` (a list of utterances).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chat.dialogue import Dialogue
from data_scripts.rows import cleaner, listed, rows_by_split, turns_of_two

NAME = "daily_dialog"


def load(path: str | None, keep_raw_text: bool, dropped: Counter) -> Iterator[Dialogue]:
    """Dialogues in the corpus's own split. See `cornell.load` for the arguments."""
    clean = cleaner(keep_raw_text)
    for split, row in rows_by_split(NAME, path, ["dialog"]):
        yield Dialogue(NAME, turns_of_two(map(clean, listed(row["dialog"])), dropped), split=split)
