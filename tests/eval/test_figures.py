"""Figures with their bootstrap intervals."""

import math

import numpy as np
import pytest

from eval.figures import likelihood, ratio_of_sums
from eval.table import has_intervals


def test_the_value_is_the_ratio_and_lies_in_its_interval():
    rng = np.random.default_rng(1)
    tokens = rng.integers(5, 50, 300)
    nats = tokens * rng.normal(3, 0.5, 300)
    found = ratio_of_sums(nats, tokens)
    assert found["value"] == pytest.approx(nats.sum() / tokens.sum())
    assert found["low"] < found["value"] < found["high"]
    assert ratio_of_sums(nats, tokens) == found


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    hits, widths, by_the_normal_law = 0, [], []
    for seed in range(100):
        values = np.random.default_rng(seed).normal(2.0, 1.0, 80)
        found = ratio_of_sums(values, np.ones(80))
        hits += found["low"] <= 2.0 <= found["high"]
        widths.append(found["high"] - found["low"])
        by_the_normal_law.append(2 * 1.96 * values.std() / np.sqrt(80))
    assert 88 <= hits <= 100
    assert np.mean(widths) == pytest.approx(np.mean(by_the_normal_law), rel=0.03)


def test_more_dialogues_make_it_narrower():
    values = np.random.default_rng(0).normal(2.0, 1.0, 4000)
    few, many = (ratio_of_sums(values[:n], np.ones(n)) for n in (100, 4000))
    assert many["high"] - many["low"] < (few["high"] - few["low"]) / 3


def test_edges():
    assert ratio_of_sums([], []) == {"value": 0.0}
    assert ratio_of_sums([0.0, 0.0], [0.0, 0.0]) == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_one_dialogue_tells_nothing_of_others_and_has_no_interval():
    assert ratio_of_sums([3.0], [2.0]) == {"value": 1.5}
    found = likelihood([[[1.0, 2.0]], [[3.0]]], [["Hi!"], ["Ho!"]], [0, 0])
    assert found["perplexity"] == {"value": pytest.approx(np.exp(2))} and set(found["bits_per_byte"]) == {
        "value"
    }
    assert not has_intervals({"figures": {"films": {"model": {"likelihood": found}}}})


def test_a_model_that_is_surprised_beyond_all_numbers_has_an_infinite_perplexity():
    found = likelihood([[[900.0]], [[800.0]]], [["Hi!"], ["Ho!"]], [0, 1])
    assert found["perplexity"] == {"value": math.inf, "low": math.inf, "high": math.inf}
    assert found["bits_per_byte"]["value"] == pytest.approx(1700 / math.log(2) / 6)
