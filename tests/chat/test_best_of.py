"""Best of N: the candidates' likelihoods are the model's own, and their order is the paper's."""

import pytest

from chat.best_of import (
    GENERIC_WEIGHT,
    LENGTH_COST,
    Candidate,
    _until_end,
    draw_candidates,
    rank,
    reply_log_probs,
)
from chat.decoding import DecodingSettings
from tests.chat.conftest import log_probs
from tests.tiny_models import heeding_model, tiny_model

PROMPTS = [[7, 30, 31, 32, 33], [9, 40]]
LABEL = [6]
END = 0


@pytest.fixture(scope="module")
def model(model_folder):
    return heeding_model(model_folder)


@pytest.fixture(scope="module")
def drawn(model, tokenizer):
    import torch

    torch.manual_seed(1)
    settings = DecodingSettings(temperature=1.5, top_k=0, top_p=1.0, max_new_tokens=12)
    longest = max(map(len, PROMPTS))
    padding = [longest - len(prompt) for prompt in PROMPTS]
    ids = [[END] * pad + prompt for pad, prompt in zip(padding, PROMPTS, strict=True)]
    mask = [[0] * pad + [1] * (longest - pad) for pad in padding]
    config = settings.to_generation_config(tokenizer)
    return draw_candidates(model, torch.tensor(ids), torch.tensor(mask), config, number=5)


def order(model, candidates) -> list[int]:
    replies = [candidate.ids for candidate in candidates]
    return rank(candidates, reply_log_probs(model, [LABEL] * len(replies), replies, pad_token_id=END))


def test_candidates_have_the_likelihoods_that_the_model_gives_them(model, drawn):
    assert [len(candidates) for candidates in drawn] == [5, 5]
    assert len({tuple(candidate.ids) for candidate in drawn[0]}) > 1
    for prompt, candidates in zip(PROMPTS, drawn, strict=True):
        for candidate in candidates:
            assert candidate.log_probs == pytest.approx(log_probs(model, prompt, candidate.ids), abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("gpt2", {}),
        ("gpt_neo", {}),
        ("opt", {}),
        ("bloom", {"max_position_embeddings": None}),
        ("mistral", {"sliding_window": 8}),
        ("lfm2", {"layer_types": ["conv", "full_attention"]}),
        ("openai-gpt", {}),
    ],
)
def test_a_prompt_is_read_once_and_its_replies_are_those_of_generate(kind, changes):
    """openai-gpt keeps nothing from token to token. The second prompt is padded on the left."""
    import torch
    from transformers import GenerationConfig

    model = tiny_model(kind, 100, **changes)
    model.config.use_cache = model.generation_config.use_cache = True
    ids = torch.arange(1, 41).reshape(2, 20)
    mask = torch.ones_like(ids)
    ids[1, :7] = mask[1, :7] = 0
    config = GenerationConfig(do_sample=True, max_new_tokens=8, pad_token_id=0, eos_token_id=0)
    torch.manual_seed(0)
    theirs = model.generate(ids, attention_mask=mask, generation_config=config, num_return_sequences=5)
    read = []
    model.register_forward_pre_hook(
        lambda _, __, given: read.append(given["input_ids"].numel()), with_kwargs=True
    )
    torch.manual_seed(0)
    drawn = draw_candidates(model, ids, mask, config, number=5)
    cut = [_until_end(of_row, [0.0] * 8, 0).ids for of_row in theirs[:, 20:].tolist()]
    assert [candidate.ids for candidates in drawn for candidate in candidates] == cut
    assert len({tuple(of_row) for of_row in cut}) == 10
    if kind != "openai-gpt":
        assert read == [2 * 19] + [2 * 5] * 8


def test_a_replys_likelihood_is_its_own_whatever_else_is_in_the_batch(model):
    replies = [[50, 51, 52], [60, END]]
    alone = [sum(log_probs(model, *pair)) for pair in zip(PROMPTS, replies, strict=True)]
    assert reply_log_probs(model, PROMPTS, replies, pad_token_id=END) == pytest.approx(alone, abs=1e-3)


def test_a_candidate_ends_with_its_turn(drawn):
    assert all(END not in candidate.ids[:-1] for candidates in drawn for candidate in candidates)


def test_the_end_of_turn_counts_and_what_pads_the_batch_does_not():
    assert _until_end([5, 6, END, 9, 9], [-1.0, -2.0, -3.0, 0.0, 0.0], END) == Candidate(
        [5, 6, END], [-1, -2, -3]
    )
    assert _until_end([5, 6], [-1.0, -2.0], END) == Candidate([5, 6], [-1.0, -2.0])


def test_the_order_is_by_what_a_reply_owes_to_the_conversation(model, drawn):
    candidates = drawn[0]
    scores = []
    for each in candidates:
        given, generic = (sum(log_probs(model, context, each.ids)) for context in (PROMPTS[0], LABEL))
        scores.append((given - GENERIC_WEIGHT * generic) / len(each.ids) - LENGTH_COST * len(each.ids))
    expected = sorted(range(5), key=lambda index: -scores[index])
    assert order(model, candidates) == expected
    by_likelihood = sorted(range(5), key=lambda index: -sum(candidates[index].log_probs))
    assert expected != by_likelihood


def test_a_reply_that_is_likely_anywhere_loses(model):
    ids = [50, 51, 52]
    generic = log_probs(model, LABEL, ids)
    indifferent, owed = Candidate(ids, generic), Candidate(ids, [score + 1 for score in generic])
    assert order(model, [indifferent, owed]) == [1, 0]


def test_of_two_that_owe_alike_the_shorter_one_wins():
    shorter, longer = Candidate([50, 51], [-1.0, -1.0]), Candidate([50, 51, 52, 53], [-1.0] * 4)
    assert rank([longer, shorter], [-8.0, -4.0]) == [1, 0]
    assert rank([longer, shorter], [-8.0, -4.0], length_cost=-0.02) == [0, 1]


def test_a_candidate_without_a_token_comes_last(model, drawn):
    assert order(model, [Candidate([], []), *drawn[0]])[-1] == 0
