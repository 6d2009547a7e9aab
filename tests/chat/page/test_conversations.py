"""Conversations in the browser's store: kept, ordered, bounded, and read again whatever stands there."""

import pytest

from chat.page.conversations import MAX_CONVERSATIONS, kept, readable, title_of
from chat.page.personas import PRESETS, random_persona
from chat.session import persona_from


def conversation(number: int, *texts: str) -> dict:
    roles = ("user", "assistant")
    turns = [{"role": roles[place % 2], "content": text} for place, text in enumerate(texts)]
    return {"id": str(number), "persona": ["I sing."], "turns": turns, "replies": {}}


def test_what_changes_comes_first_and_what_is_only_opened_stays():
    first, second = conversation(1, "Hi", "Hello"), conversation(2, "Bye", "Oh")
    saved = kept(kept([], first), second)
    assert saved == [second, first] and kept(saved, first) == saved
    longer = conversation(1, "Hi", "Hello", "Well?", "Yes")
    assert kept(saved, longer) == [longer, second]


def test_one_without_a_word_is_not_kept():
    saved = [conversation(1, "Hi", "Hello")]
    assert kept(saved, conversation(2)) == saved
    assert kept(saved, conversation(1)) == []


def test_there_are_only_so_many():
    saved = []
    for number in range(MAX_CONVERSATIONS + 5):
        saved = kept(saved, conversation(number, "Hi"))
    assert len(saved) == MAX_CONVERSATIONS and saved[0]["id"] == str(MAX_CONVERSATIONS + 4)


def test_what_is_kept_is_read_again():
    saved = [conversation(1, "Hi", "Hello")]
    saved[0]["replies"] = {"1": {"reply": "Hello", "seed": 1, "seconds": 0.5, "tokens": 2}}
    assert readable(saved) == saved


@pytest.mark.parametrize(
    "broken",
    [
        None,
        5,
        {"id": "1"},
        {"id": "1", "persona": [], "turns": 5, "replies": {}},
        {"id": "1", "persona": [], "turns": [{"role": "system", "content": "x"}], "replies": {}},
        {"id": "1", "persona": [], "turns": [], "replies": {"1": {"reply": "x"}}},
        {"id": "1", "persona": [], "turns": [], "replies": 5},
    ],
)
def test_what_is_no_conversation_is_left_out(broken):
    good = conversation(1, "Hi", "Hello")
    assert readable([broken, good]) == [good] and readable(broken) == []


def test_the_title_is_what_was_first_said():
    assert title_of(conversation(1, "Hi\nthere")) == "Hi there"
    assert title_of(conversation(1, "word " * 30)) == "word word word word word word word word..."


def test_the_personas_are_within_the_limits():
    for persona in (*PRESETS.values(), random_persona()):
        assert persona_from(persona) == persona
    assert len({random_persona() for _ in range(50)}) > 10
