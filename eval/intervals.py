"""Bootstrap intervals over dialogues: how much a figure would move with other dialogues of the same kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 1000
CONFIDENCE = 0.95


def ratio_of_sums(numerators: ArrayLike, denominators: ArrayLike, seed: int = 0) -> dict[str, float]:
    """sum(numerators) / sum(denominators) with its 95 % interval by resampling dialogues (Efron, 1979).

    Args:
        numerators, denominators: per dialogue, of the same length.

    Returns:
        `value`, `low`, `high`; 0 where the denominators are all 0. Of fewer than two dialogues the value
        alone: one does not tell how much others differ from it.
    """
    numerators, denominators = np.asarray(numerators, float), np.asarray(denominators, float)
    value = numerators.sum() / denominators.sum() if denominators.sum() else 0.0
    if len(numerators) < 2:
        return {"value": float(value)}
    rng = np.random.default_rng(seed)
    ratios = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(numerators), len(numerators))
        total = denominators[drawn].sum()
        ratios.append(numerators[drawn].sum() / total if total else 0.0)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return {"value": float(value), "low": float(min(low, value)), "high": float(max(high, value))}
