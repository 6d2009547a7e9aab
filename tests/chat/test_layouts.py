"""What does not read shared rows as it reads each sequence alone is found out, by any layout."""

import random

import pytest
import torch

from chat import layouts
from chat.best_of import reply_log_probs
from chat.shared_context import lay_out, reads_shared_contexts, token_log_probs
from tests.tiny_models import tiny_model
from training.collator import PackedCollator
from training.packing import PackedRows, reads_packed_rows

VOCABULARY = 300
FILLER = 0
# Shorter than its row of replies, longer than each reply with the context before it.
ROW_LENGTH = 120


def ids(length: int, seed: int) -> list[int]:
    return random.Random(seed).choices(range(3, VOCABULARY), k=length)


ROWS = [(ids(30, 0), [ids(12, seed) for seed in range(1, 7)]), (ids(5, 7), [ids(3, 8), ids(1, 9)])]


def packed_rows(lengths: list[int]) -> PackedRows:
    import datasets
    import numpy as np

    sequences = [ids(length, seed) for seed, length in enumerate(lengths)]
    dataset = datasets.Dataset.from_dict({"input_ids": sequences, "labels": sequences})
    return PackedRows(dataset, np.array(lengths), ROW_LENGTH)


def packs(model) -> bool:
    return reads_packed_rows(model, packed_rows([60, 40, 30, 20, 20]), PackedCollator(FILLER, ROW_LENGTH))


@pytest.mark.parametrize(
    ("kind", "changes", "shares", "keeps_packed_apart"),
    [
        ("gpt2", {}, True, True),
        ("llama", {}, True, True),
        ("gpt_neo", {"window_size": 64}, False, True),
        ("gpt_neo", {"window_size": 128}, True, True),
        ("mistral", {"sliding_window": 32}, False, True),
        ("mistral", {"sliding_window": 64}, True, True),
        ("opt", {}, True, False),
        ("openai-gpt", {}, False, False),
        ("falcon", {"alibi": True}, False, True),
        ("lfm2", {"layer_types": ["conv", "full_attention"], "initializer_range": 0.2}, False, False),
        # Attention that adds its mask.
        ("xglm", {}, True, False),
    ],
)
def test_the_quick_layouts_are_taken_where_they_are_right(kind, changes, shares, keeps_packed_apart):
    model = tiny_model(kind, VOCABULARY, **changes)
    assert (reads_shared_contexts(model, ROWS, FILLER), packs(model)) == (shares, keeps_packed_apart)
    if shares:
        found = token_log_probs(model.eval(), lay_out(ROWS, FILLER)).split([12] * 6 + [3, 1])
        for (prompt, replies), of_replies in zip(ROWS, (found[:6], found[6:]), strict=True):
            alone = reply_log_probs(model, [prompt] * len(replies), replies, FILLER)
            assert [each.sum().item() for each in of_replies] == pytest.approx(alone, abs=1e-4)


def test_the_window_is_seen_in_the_row_that_exceeds_it_and_in_the_longest_sequence():
    """Many short replies make the longest row, one long reply the longest sequence."""
    model = tiny_model("mistral", VOCABULARY, sliding_window=48)
    many = (ids(10, 0), [ids(5, seed) for seed in range(20)])
    assert reads_shared_contexts(model, [many], FILLER)
    assert not reads_shared_contexts(model, [many, (ids(40, 1), [ids(4, 2), ids(20, 3), ids(4, 4)])], FILLER)


def test_kernels_that_this_device_lacks_are_no_fault_of_the_layout(monkeypatch):
    """As those of FlashAttention, before the Trainer moves the model to its GPU."""
    model = tiny_model("gpt2", VOCABULARY)

    def forward(*given, **named):
        raise RuntimeError("FlashAttention only supports CUDA")

    monkeypatch.setattr(model, "forward", forward)
    assert packs(model) and reads_shared_contexts(model, ROWS, FILLER)


@pytest.mark.parametrize("shared", [False, True])
def test_too_little_memory_is_no_fault_of_the_layout(monkeypatch, shared):
    """Nor is it passed over: the user is told, and not that the model cannot be packed."""
    model = tiny_model("gpt2", VOCABULARY)
    forward = model.forward

    def out_of_memory(*given, **named):
        if ("position_ids" in named) == shared:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*given, **named)

    monkeypatch.setattr(model, "forward", out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        packs(model)


def test_it_leaves_the_model_and_the_random_state_as_they_were():
    model = tiny_model("gpt2", VOCABULARY).train()
    model.config.use_cache = True
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert reads_shared_contexts(model, ROWS, FILLER) and packs(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training and model.config.use_cache and torch.is_grad_enabled()
    assert all(weights.grad is None for weights in model.parameters())
    model(torch.tensor([ids(9, 1)])).logits.sum().backward()


def test_the_main_process_decides_for_all(monkeypatch):
    """So that all go on alike: processes that each found out by themselves could differ in their rounding."""
    from accelerate import PartialState

    told = []
    monkeypatch.setattr(PartialState, "is_main_process", False)
    monkeypatch.setattr("accelerate.utils.broadcast_object_list", lambda each: told.append(each) or [True])
    monkeypatch.setattr(layouts, "_agrees", lambda *_: pytest.fail("computed"))
    assert reads_shared_contexts(tiny_model("openai-gpt", VOCABULARY), ROWS, FILLER)
    assert told == [[False]]
