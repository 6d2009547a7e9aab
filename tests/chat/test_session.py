"""One user's conversation."""

import pytest

from chat.session import MAX_MESSAGE_CHARACTERS, ChatSession, persona_from


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

    monkeypatch.setattr(engine, "_draw", fail)
    session = ChatSession(engine)
    with pytest.raises(RuntimeError, match="no memory"):
        list(session.ask("Hi!"))
    assert session.turns == []


def test_limits_of_persona_and_message(engine):
    assert len(persona_from(["x" * 500] * 20)) == 8
    assert max(map(len, persona_from(["x" * 500] * 20))) == 200
    session = ChatSession(engine)
    list(session.ask("y" * 5000))
    assert len(session.turns[0]["content"]) == MAX_MESSAGE_CHARACTERS
