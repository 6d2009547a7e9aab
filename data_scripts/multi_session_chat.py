"""Multi-Session Chat (Xu et al., 2022), read with `datasets`: cased conversations between acquaintances.

The column `personality` mixes facts about both speakers, as a memory of their earlier sessions. It says of
nobody who it is about, so it is not used as a persona, and both sides take the assistant's part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chat.dialogue import Dialogue, clean_film_text
from data_scripts.daily_dialog import load_utterance_lists

NAME = "multi_session_chat"


def load(path: str | None, keep_raw_text: bool, dropped: Counter) -> Iterator[Dialogue]:
    """Dialogues in the corpus's own split. See `cornell.load` for the arguments."""
    return load_utterance_lists(NAME, path, None if keep_raw_text else clean_film_text, dropped)
