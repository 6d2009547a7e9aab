"""Packing: whole dialogues put into rows of a fixed length, so that almost no token is padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from chat.best_of import log_probs_of

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from transformers import PreTrainedModel

    from training.collator import PackedCollator


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
    """A dataset of rows: each item is the list of the sequences that share a row, in a random order. Beyond
    the last there is one without any.

    The sequences stay where they are, memory-mapped; only their lengths and the rows' indices are held.
    """

    def __init__(self, dataset: Dataset, lengths: np.ndarray, row_length: int, seed: int = 0):
        self.dataset = dataset.select_columns(["input_ids", "labels"])
        self.lengths = lengths
        self.rows = best_fit(lengths, row_length, seed)
        self.row_length = row_length

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> list[dict]:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: Sequence[int]) -> list[list[dict]]:
        """The rows of a batch, read at once."""
        shared = [self.rows[row] if row < len(self) else [] for row in rows]
        sequences = iter(self.dataset.__getitems__([index for row in shared for index in row]))
        return [[next(sequences) for _ in row] for row in shared]


def reads_packed_rows(model: PreTrainedModel, packed: PackedRows, collate: PackedCollator) -> bool:
    """Whether the model reads the sequences of a packed row as it reads each of them alone.

    It is found out on the row of the most sequences and on the one with the longest sequence that is not the
    first: of each, the first, the longest of the others and the last are compared.
    """
    from chat.layouts import reads_as_alone

    numbers = range(len(packed))
    most = max(numbers, key=lambda number: len(packed.rows[number]))
    longest_further = max(numbers, key=lambda number: max(packed.lengths[packed.rows[number][1:]], default=0))
    rows = packed.__getitems__(sorted({most, longest_further}))
    spans = [(index, *span) for index, row in enumerate(rows) for span in _compared(row)]

    def together() -> list[torch.Tensor]:
        batch = {name: ids.to(model.device) for name, ids in collate(rows).items()}
        ids, positions = batch["input_ids"], batch["position_ids"]
        log_probs = log_probs_of(ids, model(input_ids=ids, position_ids=positions).logits)
        return [log_probs[row, start : end - 1] for row, start, end in spans]

    joined = [[id_ for sequence in row for id_ in sequence["input_ids"]] for row in rows]
    return reads_as_alone(model, together, [joined[row][start:end] for row, start, end in spans])


def _compared(row: list[dict]) -> list[tuple[int, int]]:
    """Where some of a row's sequences begin and end, of those from which a token can be predicted."""
    ends = np.cumsum([len(sequence["input_ids"]) for sequence in row]).tolist()
    spans = list(zip([0, *ends], ends, strict=False))
    longest_further = max(spans[1:], key=lambda span: span[1] - span[0], default=spans[0])
    return [span for span in sorted({spans[0], longest_further, spans[-1]}) if span[1] - span[0] > 1]
