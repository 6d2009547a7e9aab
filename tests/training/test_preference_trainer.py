"""Replies that share a conversation are scored as if each stood alone; the loss is that of the paper."""

import math

import pytest
import torch

from chat.best_of import reply_log_probs
from chat.hub.loading import load_causal_lm
from training.preference_trainer import RepliesCollator, log_probs_of_replies, preference_loss

PLACES = [
    {
        "prompt_ids": [5, 6, 7],
        "replies": [[8, 9, 1], [10, 1], [11, 12, 13, 14, 1]],
        "good": [True, False, False],
    },
    {"prompt_ids": [20] * 9, "replies": [[1], [8, 9, 1]], "good": [False, True]},
]


def test_each_reply_is_scored_as_if_it_stood_alone(model_folder):
    model = load_causal_lm(str(model_folder))
    alone = [
        score
        for place in PLACES
        for score in reply_log_probs(
            model, [place["prompt_ids"]] * len(place["replies"]), place["replies"], pad_token_id=0
        )
    ]

    batch = RepliesCollator(pad_token_id=0)(PLACES)
    together = log_probs_of_replies(model, batch)

    assert torch.allclose(together, torch.tensor(alone), atol=1e-4)
    assert batch["place"].tolist() == [0, 0, 0, 1, 1]
    assert batch["good"].tolist() == [True, False, False, False, True]


def test_the_loss_is_the_mean_over_places_of_their_pairs():
    gains = torch.tensor([1.0, 0.0, 3.0, 2.0, 0.5, 9.0])
    good = torch.tensor([True, False, False, True, False, True])
    place = torch.tensor([0, 0, 0, 1, 1, 2])

    loss, right, pairs = preference_loss(gains, good, place, beta=0.5)

    def of_pair(margin):
        return math.log(1 + math.exp(-0.5 * margin))

    assert loss.item() == pytest.approx(((of_pair(1) + of_pair(-2)) / 2 + of_pair(1.5)) / 2)
    assert (right.item(), pairs.item()) == (2, 3)


def test_a_batch_without_a_pair_costs_nothing():
    gains = torch.tensor([1.0, 2.0], requires_grad=True)

    loss, right, pairs = preference_loss(gains, torch.tensor([True, True]), torch.tensor([0, 0]), beta=0.5)
    loss.backward()

    assert (loss.item(), right.item(), pairs.item()) == (0, 0, 0)
    assert not gains.grad.any()
