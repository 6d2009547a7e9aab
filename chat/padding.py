"""Rows of ids as a padded batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def padded(
    rows: Sequence[Sequence[int]], filler: int = 0, width: int | None = None, on_left: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows and their attention mask (1, of padding 0), both of shape (rows, width).

    Args:
        filler: the id of padding.
        width: in tokens; None is the longest row's.
        on_left: as `generate` wants it, which goes on where a row ends.
    """
    import torch

    if on_left:
        ids, mask = padded([row[::-1] for row in rows], filler, width)
        return ids.flip(1), mask.flip(1)
    lengths = torch.tensor([len(row) for row in rows])
    width = width or int(lengths.max())
    filled = torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], dtype=torch.long)
    return filled, (torch.arange(width) < lengths[:, None]).long()
