"""DailyDialog (Li et al., 2017), read with `datasets`: everyday dialogues without personas. CC BY-NC-SA 4.0.

The original Hub repository needs a loading script, which `datasets` no longer runs: give the path of a copy
in parquet or JSON with the column `dialog` (a list of utterances).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chat.cli import UserError
from chat.dialogue import Dialogue, alternating_turns
from chat.hub.data import load_corpus
from data_scripts.cleaning import clean_spaced_text

NAME = "daily_dialog"


def load(path: str | None, keep_raw_text: bool, dropped: Counter) -> Iterator[Dialogue]:
    """Dialogues in the corpus's own split. See `cornell.load` for the arguments."""
    if path is None:
        raise UserError(
            f"--corpora {NAME}: this corpus has no public default; give its path as {NAME}=FOLDER"
        )
    clean = str.strip if keep_raw_text else clean_spaced_text
    for split, rows in load_corpus(path, {"dialog"}).items():
        for utterances in rows["dialog"]:
            texts = [(str(index % 2), clean(text)) for index, text in enumerate(utterances)]
            yield Dialogue(
                NAME, alternating_turns(texts, dropped), split="train" if split == "train" else "val"
            )
