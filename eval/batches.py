"""Sequences of about the same length together, spread over the processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from eval.processes import spread

MAX_BATCH_TOKENS = 4096
Result = TypeVar("Result")


def by_length(lengths: Sequence[int]) -> list[list[int]]:
    """Indices of the sequences in batches, the longest first: memory runs out at once or not at all."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        longest = lengths[batches[-1][0]] if batches else 0
        if batches and longest * (len(batches[-1]) + 1) <= MAX_BATCH_TOKENS:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def in_batches(
    lengths: Sequence[int], score: Callable[[list[int]], list[Result]], description: str
) -> list[Result]:
    """What `score` gives for each sequence, in their order.

    Args:
        lengths: of the sequences, in tokens.
        score: takes the indices of a batch; batching must not change what it gives.
    """
    results: dict[int, Result] = {}
    for batch, found in spread(by_length(lengths), score, description):
        results.update(zip(batch, found, strict=True))
    return [results[index] for index in range(len(lengths))]
