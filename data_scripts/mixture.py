"""How much of each corpus training sees in an epoch."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from chat.cli import UserError

if TYPE_CHECKING:
    from datasets import Dataset


def mix(parts: list[tuple[str, Dataset]], times: dict[str, float], seed: int) -> Dataset:
    """One training set in which each corpus's sequences stand so many times; once where none is given.

    Args:
        parts: corpora's names and sequences; two may have one name.
        times: by corpus, such as 3, 0.2 or 1.5; of what is not whole, a share is drawn by `seed`.

    Raises:
        UserError: nothing is left.
    """
    from datasets import concatenate_datasets

    mixed = []
    for name, part in parts:
        whole, share = divmod(times.get(name, 1.0), 1)
        drawn = random.Random(seed).sample(range(len(part)), round(share * len(part)))
        mixed += [part] * int(whole) + ([part.select(sorted(drawn))] if drawn else [])
    if not any(map(len, mixed)):
        flag, mend = ("--times", "larger numbers") if times else ("--corpora", "dialogues with replies")
        raise UserError(f"{flag}: no sequence is left to train on; give {mend}")
    return concatenate_datasets(mixed)
