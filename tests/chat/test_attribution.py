"""Which sentence a reply leans on, with the embedded model: the one whose fact it tells, or none."""

import pytest

from chat.attribution import leaning
from chat.engine import load_engine
from tests.conftest import ROOT

PERSONA = ("I have two cats.", "I work as a nurse.", "I love to eat pizza.", "I live near the beach.")


@pytest.fixture(scope="module", params=["torch", "openvino"])
def pocket(request):
    engine = load_engine(str(ROOT / "models" / "pocket"), engine=request.param)
    yield engine
    engine.close()


@pytest.mark.parametrize(
    ("message", "reply", "sentence"),
    [
        ("Do you have any pets?", "I have two cats.", PERSONA[0]),
        ("What do you do for work?", "I am a nurse.", PERSONA[1]),
        ("What do you like to eat?", "I love pizza.", PERSONA[2]),
        ("Where do you live?", "I live near the beach.", PERSONA[3]),
    ],
)
def test_a_told_fact_is_found(pocket, message, reply, sentence):
    found = leaning(pocket, PERSONA, message, reply)
    assert found.sentence == sentence and found.times > 2


def test_small_talk_leans_on_nothing(pocket):
    assert leaning(pocket, PERSONA, "How are you?", "I am good, how are you?") is None
    assert leaning(pocket, (), "How are you?", "I have two cats.") is None
