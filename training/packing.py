"""Packing: whole dialogues put into rows of a fixed length, so that almost no token is padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datasets import Dataset


def best_fit(lengths: np.ndarray, capacity: int, seed: int = 0) -> list[list[int]]:
    """Indices of the sequences in rows of at most `capacity` tokens, by best fit decreasing.

    Each sequence, the longest first, goes to the fullest row that still holds it (Johnson, 1973: at most 11/9
    of the fewest possible rows). Sequences of the same length are in an order by `seed`.

    Raises:
        ValueError: a sequence is longer than `capacity`.
    """
    if len(lengths) and lengths.max() > capacity:
        raise ValueError(f"a sequence of {lengths.max()} tokens does not fit rows of {capacity}")
    shuffled = np.random.default_rng(seed).permutation(len(lengths))
    order = shuffled[np.argsort(-lengths[shuffled], kind="stable")]
    rows: list[list[int]] = []
    rows_by_space: list[list[int]] = [[] for _ in range(capacity + 1)]
    spaces = 0  # bit s is set where a row with s tokens of space exists
    for index, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        enough = spaces >> length
        if enough:
            space = length + (enough & -enough).bit_length() - 1
            row = rows_by_space[space].pop()
            if not rows_by_space[space]:
                spaces &= ~(1 << space)
        else:
            space, row = capacity, len(rows)
            rows.append([])
        rows[row].append(index)
        if space > length:
            rows_by_space[space - length].append(row)
            spaces |= 1 << (space - length)
    return rows


class PackedRows:
    """A dataset of rows: each item is the list of the sequences that share a row, in a random order.

    The sequences stay where they are, memory-mapped; only their lengths and the rows' indices are held.
    """

    def __init__(self, dataset: Dataset, lengths: np.ndarray, row_length: int, seed: int = 0):
        self.dataset = dataset.select_columns(["input_ids", "labels"])
        self.rows = best_fit(lengths, row_length, seed)
        self.row_length = row_length

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> list[dict]:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: Sequence[int]) -> list[list[dict]]:
        """The rows of a batch, read at once."""
        indices = [index for row in rows for index in self.rows[row]]
        sequences = iter(self.dataset.__getitems__(indices))
        return [[next(sequences) for _ in self.rows[row]] for row in rows]
