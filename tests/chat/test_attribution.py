"""Which sentence a reply leans on. The embedded model is trained anew now and then: any must pass these."""

import pytest

from chat.attribution import NEUTRAL_SENTENCE, leaning
from chat.engine import load_engine
from chat.personas import PRESETS
from tests.conftest import ROOT

PERSONAS = [persona for persona in PRESETS.values() if persona]
# Said by people who have nothing in common; none of it is a fact of a persona above.
SMALL_TALK = [
    ("How are you?", "I am good, how are you?"),
    ("Hi!", "Hi! How are you today?"),
    ("Tell me more.", "I don't know."),
    ("That is nice.", "Thank you."),
]


@pytest.fixture(scope="module", params=["torch", "openvino"])
def pocket(request):
    engine = load_engine(str(ROOT / "models" / "pocket"), engine=request.param)
    yield engine
    engine.close()


def test_what_repeats_a_sentence_leans_on_it(pocket):
    right = [
        (found := leaning(pocket, persona, "Tell me about yourself.", sentence))
        and found.sentence == sentence
        and found.times > 2
        for persona in PERSONAS
        for sentence in persona
    ]
    assert sum(map(bool, right)) >= 0.8 * len(right)


def test_small_talk_leans_on_less_than_facts_do(pocket):
    found = [leaning(pocket, persona, *said) for persona in PERSONAS for said in SMALL_TALK]
    assert sum(each is not None for each in found) <= 0.5 * len(found)


def test_without_a_persona_or_a_reply_there_is_nothing_to_lean_on(pocket):
    assert leaning(pocket, (), "How are you?", "I have two cats.") is None
    assert leaning(pocket, PERSONAS[0], "How are you?", "") is None


def test_a_sentence_that_stands_twice_in_the_persona_is_leant_on_like_any_other(pocket):
    cats, nurse = "I have two cats.", "I am a nurse."
    once, twice = (
        leaning(pocket, persona, "Tell me about yourself.", cats)
        for persona in ((cats, nurse), (cats, nurse, cats))
    )
    assert once and twice and twice.sentence == cats and twice.gain_nats == pytest.approx(once.gain_nats)


def test_sentences_that_do_not_differ_are_not_leant_on(pocket):
    assert leaning(pocket, (NEUTRAL_SENTENCE, NEUTRAL_SENTENCE), "Hi!", "I have two cats.") is None
