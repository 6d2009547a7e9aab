"""Replies that share a conversation are scored as if each stood alone; the loss is that of the paper."""

import math

import pytest
import torch

from chat.best_of import reply_log_probs
from chat.hub.loading import load_causal_lm
from chat.sequences import IGNORED_LABEL
from training.preference_trainer import PreferenceLoss, RepliesCollator, log_probs_of_replies
from training.trainer import row_losses

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


def test_a_batch_has_dialogues_to_compute_also_where_no_place_brings_one(model_folder):
    """Or the processes that have one would wait for ever for those that have none."""
    model, collate = load_causal_lm(str(model_folder)), RepliesCollator(pad_token_id=0, with_dialogues=True)
    sequence = {"input_ids": [5, 6, 7], "labels": [IGNORED_LABEL, 6, 7]}
    learnt = collate([{**PLACES[0], "sequence": sequence}, PLACES[1]])["dialogues"]
    blank = collate(PLACES)["dialogues"]
    assert learnt["input_ids"].tolist() == [[5, 6, 7]] and learnt["labels"].tolist() == [sequence["labels"]]
    assert blank.keys() == learnt.keys() and (blank["labels"] == IGNORED_LABEL).all()

    nats, tokens = row_losses(model, blank)
    nats.sum().backward()
    assert (nats.tolist(), tokens.tolist()) == ([0], [0])
    # Through the model all the same: where weights are divided, gradients are gathered from all processes.
    assert not any(weights.grad.any() for weights in model.parameters())
    assert "dialogues" not in RepliesCollator(pad_token_id=0)(PLACES)


def batch_of(good, place, lengths):
    replies = [reply for reply, length in enumerate(lengths) for _ in range(length)]
    return {"good": torch.tensor(good), "place": torch.tensor(place), "replies": torch.tensor(replies)}


def of_pair(logit):
    return math.log(1 + math.exp(-logit))


BATCH = batch_of([True, False, False, True, False, True], [0, 0, 0, 1, 1, 2], [2, 3, 1, 4, 4, 1])
LOG_PROBS = torch.tensor([-4.0, -5.0, -3.0, -6.0, -9.5, -1.0])
BEFORE = torch.tensor([-5.0, -5.0, -6.0, -8.0, -10.0, -10.0])


def test_the_loss_is_the_mean_over_places_of_their_pairs():
    loss, right, pairs = PreferenceLoss(0.5, 0.0, 0.0)(LOG_PROBS, BEFORE, BATCH)

    first, second = (of_pair(0.5 * 1) + of_pair(0.5 * -2)) / 2, of_pair(0.5 * 1.5)
    assert loss.item() == pytest.approx((first + second) / 2)
    assert (right.tolist(), pairs.tolist()) == ([1, 1, 0], [2, 1, 0])


def test_what_length_explains_is_not_learnt():
    loss, *_ = PreferenceLoss(0.5, 0.1, 0.0)(LOG_PROBS, BEFORE, BATCH)

    first, second = (of_pair(0.5 * 1 + 0.1) + of_pair(0.5 * -2 - 0.1)) / 2, of_pair(0.5 * 1.5)
    assert loss.item() == pytest.approx((first + second) / 2)


def test_good_replies_are_learnt_beside():
    loss, *_ = PreferenceLoss(0.5, 0.1, 0.3)(LOG_PROBS, BEFORE, BATCH)
    without, *_ = PreferenceLoss(0.5, 0.1, 0.0)(LOG_PROBS, BEFORE, BATCH)

    assert loss.item() == pytest.approx(without.item() + 0.3 * (4 + 6 + 1) / (2 + 4 + 1))


def test_a_batch_without_a_pair_costs_nothing():
    log_probs = torch.tensor([1.0, 2.0], requires_grad=True)
    batch = batch_of([True, True], [0, 0], [1, 1])

    loss, right, pairs = PreferenceLoss(0.5, 0.1, 0.0)(log_probs, torch.zeros(2), batch)
    loss.backward()

    assert (loss.item(), right.tolist(), pairs.tolist()) == (0, [0], [0])
    assert not log_probs.grad.any()
