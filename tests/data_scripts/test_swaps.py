"""Swapped copies: a detail is another one throughout a dialogue, and all else stays as it was."""

import dataclasses
import random
import re

import pytest

from chat import jsonl
from chat.cli import UserError
from chat.dialogue import ASSISTANT, USER, Dialogue, Turn
from data_scripts.arguments import PrepareArguments
from data_scripts.prepare import prepare
from data_scripts.swaps import _exchange, interchangeable_words, swap_details, swapped_copies
from tests.conftest import SAMPLE_CORPORA

PERSONA = ("I have two cats.", "I live in Ohio.", "I am an electrician.")
TURNS = (
    Turn(USER, "Hi! Do you have a cat?"),
    Turn(ASSISTANT, "Two cats, in Ohio. Cats are an electrician's joy."),
    Turn(USER, "I have a parrot, and my brother is a catfish."),
    Turn(ASSISTANT, "My sister likes cat-sitting."),
)
DIALOGUE = Dialogue("personachat", TURNS, PERSONA, group="any", split="train")


def details(copy: Dialogue) -> dict[str, str]:
    """What stands in the copy's persona where the number, the pets, the state and the job were."""
    text = " ".join(copy.persona)
    number, pets = re.search(r"I have (\S+) (\S+)\.", text).groups()
    article, job = re.search(r"I am (an?) (\S+)\.", text).groups()
    return {
        "number": number,
        "pets": pets,
        "state": re.search(r"in (\S+)\.", text)[1],
        "a": article,
        "job": job,
    }


@pytest.fixture(params=range(20))
def copy(request) -> Dialogue:
    return swap_details(DIALOGUE, random.Random(request.param))


def test_a_detail_is_another_one_throughout_the_dialogue(copy):
    found = details(copy)
    [pet] = [forms[0] for forms in interchangeable_words()["pet"] if forms[-1] == found["pets"]]
    assert found["number"] != "two" and found["pets"] != "cats" and found["state"] != "Ohio"
    assert copy.turns[0].text == f"Hi! Do you have a {pet}?"
    assert copy.turns[1].text == (
        f"{found['number'].capitalize()} {found['pets']}, in {found['state']}. {found['pets'].capitalize()} "
        f"are {found['a']} {found['job']}'s joy."
    )
    assert found["a"] == ("an" if found["job"][0] in "aeiou" else "a")


def test_what_the_dialogue_has_already_is_not_put_in(copy):
    assert (
        details(copy)["pets"] not in ("parrots", "dogs and cats") and "two" not in copy.turns[1].text.lower()
    )
    assert {turn.text for turn in copy.turns[2:]} == {turn.text for turn in TURNS[2:]}


@pytest.mark.parametrize(
    ("text", "exchanged", "expected"),
    [
        ("A nurse, or a nurse.", {"nurse": "electrician"}, "An electrician, or an electrician."),
        ("An electrician, or an electrician.", {"electrician": "nurse"}, "A nurse, or a nurse."),
        ("Nurses and nurses.", {"nurses": "electricians"}, "Electricians and electricians."),
    ],
)
def test_article_and_capital_go_with_the_word(text, exchanged, expected):
    assert _exchange(text, exchanged) == expected


def test_two_details_of_one_kind_stay_two():
    both = dataclasses.replace(DIALOGUE, persona=("I have a dog.", "I have a cat."))
    copies = [swap_details(both, random.Random(seed)).persona for seed in range(200)]
    assert all(len({sentence.split()[-1] for sentence in persona}) == 2 for persona in copies)


def test_all_else_stays(copy):
    assert [turn.role for turn in copy.turns] == [turn.role for turn in TURNS]
    assert dataclasses.replace(copy, persona=(), turns=()) == dataclasses.replace(
        DIALOGUE, persona=(), turns=()
    )
    assert len(copy.persona) == len(PERSONA)


def test_the_personas_sentences_come_in_other_orders():
    orders = set()
    for seed in range(20):
        persona = swap_details(DIALOGUE, random.Random(seed)).persona
        orders.add(tuple(sentence.split()[1] for sentence in persona))
    assert len(orders) > 3


def test_a_persona_without_a_detail_keeps_its_words():
    plain = Dialogue("personachat", (Turn(USER, "A dog!"), Turn(ASSISTANT, "Yes.")), ("I sing.", "I run."))
    copy = swap_details(plain, random.Random(0))
    assert sorted(copy.persona) == ["I run.", "I sing."] and copy.turns == plain.turns


def test_so_many_copies_and_none_of_a_dialogue_without_a_persona():
    dialogues = [*[DIALOGUE] * 40, dataclasses.replace(DIALOGUE, persona=())]
    assert len(swapped_copies(dialogues, 2, 0)) == 80 and swapped_copies(dialogues, 0, 0) == []
    assert 45 < len(swapped_copies(dialogues, 1.5, 0)) < 75
    first, again, other = (swapped_copies(dialogues, 1, seed) for seed in (0, 0, 1))
    assert first == again != other and len(set(first)) > 30


def test_what_has_nothing_to_swap_is_not_copied_and_leaves_the_other_copies_as_they_are():
    plain = dataclasses.replace(DIALOGUE, persona=("I sing.", "I run."))
    assert swapped_copies([plain] * 10, 2, 0) == []
    copies = swapped_copies([DIALOGUE, plain, DIALOGUE, plain], 2, 0)
    assert len(copies) == 4 and all(details(copy)["pets"] != "cats" for copy in copies)


def test_the_words_are_in_one_class_each_and_have_the_same_forms():
    assert "#" not in interchangeable_words()
    seen = []
    for words in interchangeable_words().values():
        assert len(words) > 1 and len({len(forms) for forms in words}) == 1
        seen += [form.lower() for forms in words for form in forms]
    assert len(seen) == len(set(seen))


def test_copies_are_trained_on_counted_and_never_validated_on(base_tokenizer_folder, tmp_path):
    options = PrepareArguments(
        corpora=SAMPLE_CORPORA, tokenizer=str(base_tokenizer_folder), output=str(tmp_path / "plain")
    )
    without = prepare(options)["corpora"]["personachat"]
    stats = prepare(
        dataclasses.replace(options, output=str(tmp_path / "swapped"), swapped_copies=["personachat=2"])
    )
    found = stats["corpora"]["personachat"]
    # Of 17 the persona has no detail.
    assert without["train"]["dialogues"] == 74 and without["swapped_copies"] == 0
    assert found["swapped_copies"] == 2 * (74 - 17) and found["train"]["dialogues"] == 74 + 2 * (74 - 17)
    assert found["val"] == without["val"] and stats["corpora"]["cornell"]["swapped_copies"] == 0
    read = list(jsonl.read(tmp_path / "swapped" / "dialogues" / "train.jsonl"))
    said = [("\n".join(sorted(each.persona)), each.turns) for each in read if each.source == "personachat"]
    assert len(said) == found["train"]["dialogues"]
    originals, copies = said[:74], said[74:]
    assert not [copy for copy in copies if copy in originals]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"swapped_copies": ["personachat"]}, "--swapped-copies personachat: give NAME=NUMBER"),
        (
            {"swapped_copies": ["daily_dialog=1"]},
            "--swapped-copies daily_dialog: no such corpus in --corpora",
        ),
        (
            {"swapped_copies": ["personachat=1"], "plain_text": True},
            "--swapped-copies: plain text has no personas; leave it or --plain-text out",
        ),
    ],
)
def test_errors(given, problem):
    with pytest.raises(UserError, match=problem):
        PrepareArguments(**given)


@pytest.mark.parametrize(
    "sentence",
    [
        "I run cross country.",
        "I live in the country.",
        "I pay the bill.",
        "I love hot dogs.",
        "Rock climbing!",
    ],
)
def test_a_word_of_another_meaning_stays(sentence):
    dialogue = Dialogue("personachat", (Turn(USER, "Hi!"), Turn(ASSISTANT, sentence)), (sentence,))
    assert {swap_details(dialogue, random.Random(seed)) for seed in range(20)} == {dialogue}


def test_a_name_is_another_one_where_it_is_a_name():
    said = "Bill pays the bill."
    dialogue = Dialogue("personachat", (Turn(USER, "Who pays?"), Turn(ASSISTANT, said)), ("I am Bill.",))
    swapped = swap_details(dialogue, random.Random(0))
    name = swapped.persona[0].removeprefix("I am ").removesuffix(".")
    assert name != "Bill" and swapped.turns[1].text == f"{name} pays the bill."
