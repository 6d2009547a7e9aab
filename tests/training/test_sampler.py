"""The order of the data."""

import numpy as np
import pytest

from training.sampler import EpochSampler


@pytest.mark.parametrize("lengths", [None, np.random.default_rng(0).integers(1, 257, 1000).tolist()])
def test_an_epochs_order_is_a_function_of_seed_and_epoch(lengths):
    import torch

    def order(seed, epoch):
        sampler = EpochSampler(1000, seed, lengths, batch_size=8)
        sampler.set_epoch(epoch)
        torch.rand(seed + epoch)
        return list(sampler)

    assert sorted(order(0, 0)) == list(range(1000)) and len(EpochSampler(1000, 0)) == 1000
    assert order(3, 2) == order(3, 2)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1, 2)}) == 6


def test_grouped_batches_hold_neighbours_in_length():
    lengths = np.random.default_rng(0).integers(1, 257, 4000)
    batches = np.array(list(EpochSampler(4000, 0, lengths.tolist(), batch_size=8))).reshape(-1, 8)
    spread = np.ptp(lengths[batches], axis=1).mean()
    random = np.ptp(lengths[np.array(list(EpochSampler(4000, 0))).reshape(-1, 8)], axis=1).mean()
    assert spread < random / 5
