"""The order of the training data: a function of seed and epoch alone, so that a resumed run goes on in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler
from transformers import TrainerCallback


class EpochSampler(Sampler[int]):
    """A new random order every epoch; by `lengths` given, neighbours of about the same length.

    The Trainer's sampler by length draws from the global random state, which differs after a resume in the
    middle of an epoch. Its random one is a function of seed and epoch, too (Accelerate puts its own in its
    place), but does not hear of the epoch where `EpochOrder` is needed.

    Args:
        size: of the dataset.
        seed: of all orders.
        lengths: in tokens, for batches of about the same length.
        batch_size: of those batches, over all accumulation steps.
    """

    def __init__(self, size: int, seed: int, lengths: Sequence[int] | None = None, batch_size: int = 1):
        self.size = size
        self.seed = seed
        self.lengths = lengths
        self.batch_size = batch_size
        self.epoch = 0

    def __len__(self) -> int:
        return self.size

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        from transformers.trainer_pt_utils import get_length_grouped_indices

        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        if self.lengths is None:
            return iter(torch.randperm(self.size, generator=generator).tolist())
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))


class EpochOrder(TrainerCallback):
    """Tells the sampler its epoch.

    Accelerate's wrappers do so too, but not through all their layers: with several processes, resumed in the
    middle of an epoch, the sampler would not hear of it.
    """

    def __init__(self, sampler: EpochSampler):
        self.sampler = sampler

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.sampler.set_epoch(int(state.epoch or 0))
