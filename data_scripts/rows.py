"""What the corpora that `datasets` reads have in common: their rows, and the clean-up of their text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from chat.cli import UserError
from chat.dialogue import Turn, alternating_turns
from chat.hub.path_or_id import explained, is_local
from data_scripts.cleaning import clean_spaced_text


def rows_by_split(corpus: str, name: str | None, columns: list[str]) -> Iterator[tuple[str, dict]]:
    """Each row with its split: what the corpus does not call `train` is for validation.

    Args:
        name: a path in any layout that `datasets` reads, or a Hub id.

    Raises:
        UserError: none is given, it cannot be loaded, or lacks a column.
    """
    from datasets import load_dataset

    if name is None:
        raise UserError(
            f"--corpora {corpus}: this corpus has no public default; give its path as {corpus}=FOLDER"
        )
    # `datasets` knows files of this machine by their times, which copies and archives keep.
    mode = "force_redownload" if is_local(name) else None
    with explained("--corpora", name, "dataset", repo_type="dataset"):
        splits = load_dataset(name, download_mode=mode)
    for split, rows in splits.items():
        missing = sorted({*columns} - {*rows.column_names})
        if missing:
            raise UserError(
                f"--corpora {name}: split `{split}` has no column {'`' + '`, `'.join(missing) + '`'} "
                f"(it has {', '.join(rows.column_names)}); give a dataset with {', '.join(sorted(columns))}"
            )
    for split, rows in splits.items():
        for row in rows.select_columns(columns):
            yield "train" if split == "train" else "val", row


def listed(texts: Any) -> list[str]:
    """The list of texts that a column should have.

    Raises:
        TypeError: it is something else, such as the one text that tables of CSV have in its place, whose
            letters would pass for texts.
    """
    if not isinstance(texts, list):
        raise TypeError(f"{type(texts).__name__} in place of a list of texts")
    return texts


def cleaner(keep_raw_text: bool) -> Callable[[str], str]:
    """Cleans a text that comes again once: PersonaChat offers each reply as a false one in many places."""
    return str.strip if keep_raw_text else cache(clean_spaced_text)


def turns_of_two(texts: Iterable[str], dropped: Counter) -> tuple[Turn, ...]:
    """The turns of two speakers who are not named and take turns."""
    return alternating_turns([(str(index % 2), text) for index, text in enumerate(texts)], dropped)
