"""Turns, views and messages."""

from collections import Counter

import pytest

from chat.dialogue import ASSISTANT, USER, Dialogue, Turn, alternating_turns


def test_turns_alternate_and_what_is_left_out_is_counted():
    dropped = Counter()
    said = [("anna", "Hi."), ("anna", "Anyone?"), ("ben", ""), ("ben", "Yes."), ("anna", "Good.")]
    turns = alternating_turns(said, dropped)
    assert turns == (Turn(USER, "Hi. Anyone?"), Turn(ASSISTANT, "Yes."), Turn(USER, "Good."))
    assert dropped == {"empty utterances": 1}


def test_the_silence_of_one_side_joins_the_other_sides_turns():
    turns = alternating_turns([(USER, "Hi."), (ASSISTANT, ""), (USER, "Hello?")], Counter())
    assert turns == (Turn(USER, "Hi. Hello?"),)


def test_roles_that_are_given_stay():
    assert alternating_turns([(ASSISTANT, "Hi."), (USER, "Yes?")], Counter())[0].role == ASSISTANT


@pytest.mark.parametrize(("named", "other"), [(USER, ASSISTANT), (ASSISTANT, USER)])
def test_beside_a_named_side_all_others_are_the_other_side(named, other):
    said = [("bot", "Hello."), ("helper", "Can we help?"), (named, "Yes."), ("bot", "How?"), (named, "So.")]
    assert alternating_turns(said, Counter()) == (
        Turn(other, "Hello. Can we help?"),
        Turn(named, "Yes."),
        Turn(other, "How?"),
        Turn(named, "So."),
    )


def test_either_side_is_learnt_where_there_is_no_persona():
    turns = (Turn(USER, "Hi."), Turn(ASSISTANT, "Yes?"))
    assert Dialogue("x", turns, persona=("I am old.",)).views() == [Dialogue("x", turns, ("I am old.",))]
    own, other = Dialogue("x", turns).views()
    assert own.turns == turns
    assert other.turns == (Turn(ASSISTANT, "Hi."), Turn(USER, "Yes?"))


def test_the_persona_stays_with_the_assistant_where_both_sides_are_asked_for():
    turns = (Turn(USER, "Hi."), Turn(ASSISTANT, "Yes?"))
    own, other = Dialogue("x", turns, persona=("I am old.",)).views(both_sides=True)
    assert own == Dialogue("x", turns, ("I am old.",))
    assert other == Dialogue("x", (Turn(ASSISTANT, "Hi."), Turn(USER, "Yes?")))


def test_messages_carry_the_persona_as_the_system_message():
    turns = (Turn(USER, "Hi."), Turn(ASSISTANT, "Yes?"))
    assert Dialogue("x", turns, ("I am old. ", " ", "I sing.")).messages() == [
        {"role": "system", "content": "I am old. I sing."},
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Yes?"},
    ]
