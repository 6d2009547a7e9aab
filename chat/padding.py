"""Rows of ids as a batch that is padded on the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def padded(
    rows: Sequence[Sequence[int]], filler: int = 0, width: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows and their attention mask (1, of padding 0), both of shape (rows, width).

    Args:
        filler: the id of padding.
        width: in tokens; None is the longest row's.
    """
    import torch

    lengths = torch.tensor([len(row) for row in rows])
    width = width or int(lengths.max())
    filled = torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], dtype=torch.long)
    return filled, (torch.arange(width) < lengths[:, None]).long()
