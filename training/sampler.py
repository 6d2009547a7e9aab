"""The order of the training data: a function of seed and epoch alone, so that a resumed run goes on in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch.utils.data import Sampler
from transformers import TrainerCallback
from transformers.trainer_pt_utils import get_length_grouped_indices

from chat.sequences import IGNORED_LABEL

if TYPE_CHECKING:
    from datasets import Dataset


class EpochSampler(Sampler[int]):
    """A new random order every epoch; by `lengths` given, neighbours of about the same length.

    The Trainer's sampler by length draws from the global random state, which differs after a resume in the
    middle of an epoch. Its random one is a function of seed and epoch, too (Accelerate puts its own in its
    place), but does not hear of the epoch where `EpochOrder` is needed.

    Args:
        size: of the dataset.
        seed: of all orders.
        lengths: in tokens, for batches of about the same length.
        batch_size: of those batches, over all accumulation steps and processes.

    Attributes:
        fill_to: the order is filled up to a multiple of this by the index `size`, as which a dataset gives a
            row without labels. With several processes Accelerate would fill the last batches up with rows
            from the epoch's beginning, which then count twice.
    """

    def __init__(self, size: int, seed: int, lengths: Sequence[int] | None = None, batch_size: int = 1):
        self.size = size
        self.seed = seed
        self.lengths = lengths
        self.batch_size = batch_size
        self.epoch = 0
        self.fill_to = 1

    def __len__(self) -> int:
        return math.ceil(self.size / self.fill_to) * self.fill_to

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        if self.lengths is None:
            order = torch.randperm(self.size, generator=generator).tolist()
        else:
            order = get_length_grouped_indices(self.lengths, self.batch_size, generator=generator)
        return iter(order + [self.size] * (len(self) - self.size))


class SingleRows:
    """A dataset of sequences, read in batches; beyond the last there is one of a token without a label."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset.select_columns(["input_ids", "labels"])
        self.blank = {"input_ids": dataset[0]["input_ids"][:1], "labels": [IGNORED_LABEL]}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> dict[str, list[int]]:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: Sequence[int]) -> list[dict[str, list[int]]]:
        found = iter(self.dataset.__getitems__([row for row in rows if row < len(self)]))
        return [next(found) if row < len(self) else self.blank for row in rows]


class EpochOrder(TrainerCallback):
    """Tells the sampler its epoch.

    Accelerate's wrappers do so too, but not through all their layers: with several processes, resumed in the
    middle of an epoch, the sampler would not hear of it.
    """

    def __init__(self, sampler: EpochSampler):
        self.sampler = sampler

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.sampler.set_epoch(int(state.epoch or 0))
