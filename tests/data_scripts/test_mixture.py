"""How often each corpus's sequences come in an epoch."""

from collections import Counter

import pytest
from datasets import Dataset

from chat.cli import UserError
from data_scripts.arguments import PrepareArguments
from data_scripts.mixture import mix


@pytest.fixture
def parts():
    return [
        (name, Dataset.from_dict({"text": [f"{name} {i}" for i in range(10)]})) for name in ("one", "two")
    ]


def test_without_times_every_sequence_comes_once(parts):
    assert mix(parts, {}, 0)["text"][:] == [text for _, part in parts for text in part["text"]]


def test_whole_times_and_shares(parts):
    counts = Counter(mix(parts, {"one": 2.5, "two": 0.3}, 0)["text"])
    assert sorted(counts[f"one {i}"] for i in range(10)) == [2] * 5 + [3] * 5
    assert sum(counts[f"two {i}"] for i in range(10)) == 3 and counts.total() == 28
    again, other = (mix(parts, {"one": 2.5, "two": 0.3}, seed)["text"][:] for seed in (0, 1))
    assert Counter(again) == counts != Counter(other)
    assert [len(mix(parts[:1], {"one": times}, 0)) for times in (0.27, 1.33)] == [3, 13]


def test_two_corpora_of_one_name_stay_two(parts):
    twice = [("one", parts[0][1]), ("one", parts[1][1])]
    assert len(mix(twice, {"one": 2}, 0)) == 40


@pytest.mark.parametrize(
    ("times", "problem"),
    [
        ("three=1", "--times three: no such corpus in --corpora; they are cornell, personachat"),
        ("cornell", "--times cornell: give NAME=NUMBER"),
        ("cornell=x", "--times cornell=x: give NAME=NUMBER"),
        ("cornell=0", "--times cornell=0: give a number above 0"),
        ("cornell=nan", "--times cornell=nan: give a number above 0"),
        ("cornell=inf", "--times cornell=inf: give a number above 0"),
        ("cornell=2 cornell=3", "--times cornell=3: cornell comes twice; give it once"),
    ],
)
def test_errors(times, problem):
    with pytest.raises(UserError, match=problem):
        PrepareArguments(corpora=["cornell", "personachat"], times=times.split())


def test_nothing_left_is_an_error(parts):
    nothing = [("one", parts[0][1].select([]))]
    for flag, given, times in (("--times", parts, {"one": 0.01, "two": 0.01}), ("--corpora", nothing, {})):
        with pytest.raises(UserError, match=f"{flag}: no sequence is left to train on"):
            mix(given, times, 0)
