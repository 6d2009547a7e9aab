"""The order of the data."""

import numpy as np
import pytest
from accelerate.data_loader import BatchSamplerShard
from datasets import Dataset
from torch.utils.data import BatchSampler
from transformers import TrainerState

from chat.sequences import IGNORED_LABEL
from training.sampler import EpochOrder, EpochSampler, SingleRows


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


@pytest.mark.parametrize(("size", "batches"), [(17, 3), (16, 2), (3, 1), (1, 1)])
def test_several_processes_get_every_row_once_and_full_batches(size, batches):
    """As Accelerate shares them: 2 processes with 4 rows each."""
    sampler = EpochSampler(size, seed=0)
    sampler.fill_to = 8
    loader = BatchSampler(sampler, batch_size=4, drop_last=False)
    shares = [list(BatchSamplerShard(loader, num_processes=2, process_index=rank)) for rank in (0, 1)]
    assert [len(share) for share in shares] == [batches] * 2
    given = [row for share in shares for batch in share for row in batch]
    assert sorted(row for row in given if row != size) == list(range(size))
    assert len(given) == len(sampler) == 8 * batches


def test_grouped_batches_hold_neighbours_in_length():
    lengths = np.random.default_rng(0).integers(1, 257, 4000)
    batches = np.array(list(EpochSampler(4000, 0, lengths.tolist(), batch_size=8))).reshape(-1, 8)
    spread = np.ptp(lengths[batches], axis=1).mean()
    random = np.ptp(lengths[np.array(list(EpochSampler(4000, 0))).reshape(-1, 8)], axis=1).mean()
    assert spread < random / 5


def test_beyond_the_last_sequence_there_is_one_of_a_token_without_a_label():
    first, second = ({"input_ids": [start, 9], "labels": [IGNORED_LABEL, 9]} for start in (5, 7))
    rows = SingleRows(Dataset.from_list([{**row, "length": 2} for row in (first, second)]))
    blank = {"input_ids": [5], "labels": [IGNORED_LABEL]}
    assert rows.__getitems__([1, 2, 0]) == [second, blank, first] and len(rows) == 2
    assert (rows[0], rows[2]) == (first, blank)


def test_the_sampler_is_told_the_epoch_in_which_a_run_goes_on():
    sampler = EpochSampler(10, seed=0)
    EpochOrder(sampler).on_epoch_begin(None, TrainerState(epoch=3.0), None)
    assert sampler.epoch == 3
