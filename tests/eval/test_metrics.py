"""The metrics against figures worked out by hand, loaded offline by path as users load them."""

import math

import evaluate
import pytest

from tests.conftest import ROOT

METRICS = ROOT / "eval" / "metrics"


@pytest.fixture(scope="module")
def perplexity():
    return evaluate.load(str(METRICS / "reply_perplexity"))


@pytest.fixture(scope="module")
def distinct_n():
    return evaluate.load(str(METRICS / "distinct_n"))


def test_perplexity_is_of_the_corpus_not_a_mean_over_replies(perplexity):
    losses = [[math.log(2), math.log(8), math.log(4)], [math.log(16)]]
    figures = perplexity.compute(predictions=losses, references=["abcde", "né"])
    assert figures["perplexity"] == pytest.approx(2 ** ((1 + 3 + 2 + 4) / 4))
    assert figures["bits_per_byte"] == pytest.approx(10 / 8)
    assert figures["tokens"] == 4


def test_a_sure_model_has_perplexity_one_and_a_uniform_one_its_vocabulary(perplexity):
    assert perplexity.compute(predictions=[[0.0, 0.0]], references=["ab"])["perplexity"] == 1.0
    uniform = perplexity.compute(predictions=[[math.log(50)] * 7], references=["abc"])
    assert uniform["perplexity"] == pytest.approx(50)


def test_perplexity_of_empty_replies(perplexity):
    figures = perplexity.compute(predictions=[[], [math.log(3)]], references=["", "abc"])
    assert figures["perplexity"] == pytest.approx(3) and figures["tokens"] == 1
    assert perplexity.compute(predictions=[[]], references=[""]) == {
        "perplexity": 1.0,
        "bits_per_byte": 0.0,
        "tokens": 0,
    }


def test_distinct_n_counts_ngrams_over_all_words(distinct_n):
    figures = distinct_n.compute(predictions=["I like tea .", "I like cats , don't you ?"])
    # 11 words, 9 different; of the 3 + 6 pairs one is there twice.
    assert figures == {"distinct_1": 9 / 11, "distinct_2": 8 / 11, "words": 11}


def test_distinct_n_ignores_case_and_spacing_and_does_not_cross_replies(distinct_n):
    assert distinct_n.compute(predictions=["Tea.", "tea ."]) == {
        "distinct_1": 2 / 4,
        "distinct_2": 1 / 4,
        "words": 4,
    }
    assert distinct_n.compute(predictions=["a", "b"], n_values=(2, 3)) == {
        "distinct_2": 0.0,
        "distinct_3": 0.0,
        "words": 2,
    }


def test_distinct_n_of_nothing(distinct_n):
    assert distinct_n.compute(predictions=["", " "]) == {"distinct_1": 0.0, "distinct_2": 0.0, "words": 0}
