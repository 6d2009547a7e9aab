"""One user's conversation."""

import json

import pytest

from chat.decoding import DecodingSettings
from chat.session import (
    EMPTY_MESSAGE_REPLY,
    MAX_MESSAGE_CHARACTERS,
    MAX_TURNS,
    ChatSession,
    message_from,
    persona_from,
)


def test_a_conversation_is_kept_with_its_persona(engine):
    session = ChatSession(engine, persona_from("I have two cats.\n\n  I am a nurse.  "))
    [*_, first] = session.ask(" Hi! ")
    [*_, second] = session.ask("And now?")
    assert session.persona == ("I have two cats.", "I am a nurse.")
    assert session.turns == [
        {"role": "user", "content": "Hi!"},
        {"role": "assistant", "content": first},
        {"role": "user", "content": "And now?"},
        {"role": "assistant", "content": second},
    ]
    assert session.messages()[0] == {"role": "system", "content": "I have two cats. I am a nurse."}
    session.reset()
    assert session.messages() == [{"role": "system", "content": "I have two cats. I am a nurse."}]


def test_a_stopped_reply_is_kept_as_far_as_it_was_shown(engine):
    session = ChatSession(engine)
    stream = session.ask("Hi!")
    shown = next(stream)
    stream.close()
    assert session.turns[-1] == {"role": "assistant", "content": shown}


def test_nothing_is_kept_of_a_failed_reply(engine, monkeypatch):
    def fail(*args):
        raise RuntimeError("no memory")
        yield

    monkeypatch.setattr(engine, "draw", fail)
    session = ChatSession(engine)
    with pytest.raises(RuntimeError, match="no memory"):
        list(session.ask("Hi!"))
    assert session.turns == []


def test_limits_of_persona_and_message(engine):
    assert len(persona_from(["x" * 500] * 20)) == 8
    assert max(map(len, persona_from(["x" * 500] * 20))) == 200
    for sent in (None, 7, {"I am a nurse.": 1}):
        assert persona_from(sent) == ()
    session = ChatSession(engine)
    list(session.ask("y" * 5000))
    assert len(session.turns[0]["content"]) == MAX_MESSAGE_CHARACTERS


def test_a_message_without_text_is_asked_for_again_and_not_kept(engine):
    session = ChatSession(engine)
    for sent in (None, "", " \x00 ", [], {"type": "image"}, True):
        assert [*session.ask(sent)] == [EMPTY_MESSAGE_REPLY]
    assert session.turns == []


def test_what_a_client_sends_becomes_text():
    assert message_from(42) == "42" and message_from(4.5) == "4.5"
    assert message_from("a\x00b\x1b[31m\nc") == "a b [31m\nc"
    assert message_from("\ud800!") == "?!"
    assert message_from([{"type": "text", "text": "Hi"}, {"type": "image"}]) == "Hi"


def test_a_conversation_survives_json(engine):
    turns = [{"role": "user", "content": "Hi! \U0001f600"}, {"role": "assistant", "content": "Hello!\nYou?"}]
    settings = DecodingSettings(temperature=0.5, seed=3)
    session = ChatSession(engine, ("I am a nurse.",), turns, settings)
    again = ChatSession.from_json(engine, session.to_json())
    assert again == session


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nothing", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "must be an object of `persona`"),
        ('{"memory": []}', "must be an object of `persona`"),
        ('{"persona": "I am a nurse."}', "`persona` must be a list"),
        ('{"turns": {}}', "`turns` must be a list"),
        ('{"turns": [{"role": "user", "content": "Hi"}, {"role": "system", "content": "x"}]}', "turn 2 must"),
        ('{"turns": [{"role": "user", "content": 1}]}', "turn 1 must have a text"),
        ('{"settings": {"heat": 1}}', "`settings` must be an object of best_of"),
    ],
)
def test_other_json_is_refused_by_name(engine, text, problem):
    with pytest.raises(ValueError, match=problem):
        ChatSession.from_json(engine, text)


def test_a_turn_is_named_by_its_place_in_the_file_however_many_are_left_out(engine):
    turns = [{"role": "user", "content": "Hi"}] * (MAX_TURNS + 50)
    turns[100] = {"role": "system", "content": "x"}
    with pytest.raises(ValueError, match="turn 101 must have the role"):
        ChatSession.from_json(engine, json.dumps({"turns": turns}))


def test_what_json_brings_is_within_the_limits(engine):
    turns = [{"role": "user", "content": "x" * 9000}] * 500
    kept = {"persona": ["y" * 900] * 20, "turns": turns, "settings": {"temperature": 99, "top_p": "high"}}
    session = ChatSession.from_json(engine, json.dumps(kept))
    assert len(session.persona) == 8 and len(session.turns) == MAX_TURNS
    assert len(session.turns[0]["content"]) == MAX_MESSAGE_CHARACTERS
    assert session.settings == DecodingSettings(temperature=1.5)


def test_settings_that_a_file_leaves_out_are_the_models_own(engine, monkeypatch):
    monkeypatch.setattr(engine, "settings", DecodingSettings(best_of=4, top_p=0.8))
    session = ChatSession.from_json(engine, '{"settings": {"seed": 7}}')
    assert session.settings == DecodingSettings(best_of=4, top_p=0.8, seed=7)


def test_the_oldest_turns_go_beyond_the_limit(engine):
    turns = [
        {"role": role, "content": str(number)} for number in range(100) for role in ("user", "assistant")
    ]
    session = ChatSession(engine, turns=turns, settings=DecodingSettings(max_new_tokens=4))
    list(session.ask("Hi!"))
    assert len(session.turns) == MAX_TURNS and session.turns[0]["content"] == "1"
