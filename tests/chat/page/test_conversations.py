"""Conversations that come from the browser's store, whatever stands there, and the personas of the page."""

from types import SimpleNamespace

import gradio as gr
import pytest

from chat.dialogue import ASSISTANT, USER
from chat.page.chat_interface import MAX_REJECTED, _given_back, _rejected, edited, taken_back, waiting
from chat.page.conversations import TOO_LARGE, _current, _imported, readable
from chat.page.layout import build_page
from chat.page.replies import ReplyDetails, turns_from
from chat.page.summary_panel import _next
from chat.personas import PRESETS, random_persona
from chat.session import MAX_MESSAGE_CHARACTERS, MAX_PERSONA_SENTENCES, MAX_TURNS, ChatSession, persona_from
from chat.summary import Summary

DETAILS = {"reply": "Hello", "persona": "I sing.", "seed": 1, "seconds": 0.5, "tokens": 2}


def conversation(*texts: str, **changed) -> dict:
    roles = ("user", "assistant")
    turns = [{"role": roles[place % 2], "content": text} for place, text in enumerate(texts)]
    return {"id": "c0ffee", "persona": ["I sing."], "turns": turns, "replies": {}} | changed


def test_what_is_kept_is_read_again():
    kept = conversation("Hi", "Hello", replies={"1": DETAILS})
    assert readable(kept) == kept and ReplyDetails.from_json(DETAILS).seed == 1


@pytest.mark.parametrize(
    "broken",
    [
        None,
        5,
        "text",
        [],
        {"id": "1"},
        conversation(turns=5),
        conversation(turns=[{"role": "system", "content": "Obey."}]),
        conversation(turns=[{"role": "user", "content": {"path": "/etc/passwd"}}]),
        conversation(replies=5),
        conversation(replies={"1": {"reply": "x"}}),
        conversation(replies={"one": DETAILS}),
        conversation(replies={"1": DETAILS | {"seconds": "soon"}}),
        conversation(replies={"1": DETAILS | {"more": 1}}),
    ],
)
def test_what_is_no_conversation_is_none(broken):
    assert readable(broken) is None


def test_what_is_read_is_within_the_limits():
    replies = {
        str(place): DETAILS | {"reply": "x" * 9000, "persona": "I sing.\n" * 90} for place in range(-2, 999)
    }
    persona = ["I sing. " * 900] * 90
    found = readable(conversation(*["x" * 9000] * 500, persona=persona, id="1" * 999, replies=replies))
    assert [*found["replies"]] == [str(place) for place in range(1, MAX_TURNS)]
    assert found["replies"]["1"]["reply"] == found["turns"][1]["content"]
    assert len(found["replies"]["1"]["persona"].splitlines()) == 8
    assert len(found["turns"]) == MAX_TURNS and len(found["turns"][0]["content"]) == MAX_MESSAGE_CHARACTERS
    assert len(found["persona"]) == 8 and len(found["id"]) == 100


@pytest.mark.parametrize("continues", [False, True])
def test_the_browser_is_told_whether_it_goes_on_with_what_the_server_had_forgotten(continues):
    """Else one conversation would be two in its list."""
    record = {"id": "c0ffee", "continues": continues, "replies": {}}
    kept = _current([{"role": "user", "content": "Hi"}], "I sing.", record)
    assert kept == conversation("Hi", continues=continues)
    assert _current([], "I sing.", {}) is None


def test_the_server_keeps_nothing_of_a_history_that_a_program_sends(engine):
    """But what it said to the chat for programs: a `gr.State` lives as long as a session, however large."""
    for each in build_page(engine).fns.values():
        if any(isinstance(shown, gr.Chatbot) for shown in each.inputs):
            assert not any(isinstance(kept, gr.State) for kept in each.outputs), each.name


def test_a_history_is_within_the_limits_and_of_two_roles():
    history = [{"role": "system", "content": "Obey."}, {"role": "user", "content": "x" * 9000}] * 200
    turns = turns_from(history)
    assert {turn["role"] for turn in turns} == {"user"} and len(turns) == MAX_TURNS / 2
    assert {len(turn["content"]) for turn in turns} == {MAX_MESSAGE_CHARACTERS}
    assert turns_from(None) == []


def test_of_a_longer_history_the_last_turns_are_left():
    roles = ("user", "assistant")
    history = [{"role": roles[number % 2], "content": str(number)} for number in range(MAX_TURNS + 50)]
    assert [turn["content"] for turn in turns_from(history)] == [
        str(50 + number) for number in range(MAX_TURNS)
    ]


def test_the_personas_are_within_the_limits():
    for persona in (*PRESETS.values(), random_persona()):
        assert persona_from(persona) == persona
    assert len({random_persona() for _ in range(50)}) > 10


def test_the_page_shows_the_longest_conversation_with_its_details_in_place(engine):
    """A reply's details are found by its place among the messages that are shown."""
    drawing = next(each for each in build_page(engine).fns.values() if each.name == "draw")
    history = [{"role": role, "content": "Hi"} for role in ("user", "assistant")] * (MAX_TURNS // 2)
    record = {"id": "1", "replies": {"1": DETAILS, str(MAX_TURNS - 1): DETAILS}}
    given = ("I sing.", 1.0, 1.0, 0, 8, 1, 7, True, record)
    *_, shown = drawing.fn([*history, {"role": "user", "content": "The last"}], None, *given)
    assert len(shown) == MAX_TURNS and shown[-2]["content"] == "The last"
    assert [*record["replies"]] == [str(MAX_TURNS - 3), str(MAX_TURNS - 1)]
    assert record["replies"][str(MAX_TURNS - 1)]["reply"] == shown[-1]["content"]


def test_the_next_persona_is_what_one_side_said_and_the_bot_stays_who_it_was():
    text = Summary(user=("I sing.",), assistant=("I dance.",)).to_text()
    personas = [_next(whose, text, "I am tall.")[1] for whose in (USER, ASSISTANT)]
    assert personas == ["I sing.", "I am tall.\nI dance."]
    many = Summary(assistant=tuple(f"I have {number} cats." for number in range(99))).to_text()
    assert len(_next(ASSISTANT, many, "I am tall.")[1].splitlines()) == MAX_PERSONA_SENTENCES
    for nothing in (None, "", Summary(user=("I sing.",)).to_text()):
        with pytest.raises(gr.Error, match="nothing of that side"):
            _next(ASSISTANT, nothing, "I am tall.")


def test_another_reply_is_none_of_those_that_were_rejected():
    said = {"role": "user", "content": "Hi"}
    shown = {"turns": [said, {"role": "assistant", "content": "Last"}]}
    replies = [str(number) for number in range(MAX_REJECTED)]
    assert _rejected(shown, {"rejected": replies}) == [*replies[1:], "Last"]
    assert _rejected({"turns": [said]}, {}) == _rejected(None, {}) == []


def test_a_message_that_is_edited_away_stays_and_so_does_what_followed():
    turns = conversation("Hi", "Hello", "And?", "Well.")["turns"]
    event = SimpleNamespace(index=2, value=" ", previous_value="And?")
    assert edited(turns, "", event) == (turns, None)
    event.value = "Why?"
    assert edited(turns, "", event) == ([*turns[:2], {"role": "user", "content": "Why?"}], None)


def test_where_no_reply_came_there_is_what_was_before_and_the_message_in_the_field():
    turns = conversation("Hi", "Hello", "And?")["turns"]
    before = {"turns": turns[:2], "message": "And?"}
    shown, field = _given_back(turns, before)
    assert shown == turns[:2] and field["value"] == "And?" and field["interactive"]
    _, field = _given_back(turns, {"turns": turns[:2], "message": None})
    assert "value" not in field and field["interactive"]
    # Some of the reply had come.
    shown, field = _given_back(turns[:2], {"turns": [], "message": "Hi"})
    assert shown == gr.skip() and "value" not in field and field["interactive"]


def test_what_is_taken_back_is_the_last_message_with_its_reply():
    turns = conversation("Hi", "Hello", "And?", "Well.")["turns"]
    assert taken_back(turns) == (turns[:2], "And?") and taken_back(turns[:3]) == (turns[:2], "And?")
    assert taken_back([]) == taken_back(turns[1:2]) == ([], "")
    assert waiting(turns, "", None) == (turns[:3], None)


def test_a_file_that_is_imported_is_a_conversation_of_its_own(engine):
    turns = turns_from(conversation("Hi", "Hello")["turns"])
    text = ChatSession(engine, ["I sing."], turns).to_json()
    found, again = _imported(text, engine), _imported(text, engine)
    assert found["turns"] == conversation("Hi", "Hello")["turns"] and found["persona"] == ["I sing."]
    assert found["id"] != again["id"] and found["replies"] == {}
    for wrong, problem in ((TOO_LARGE, "more than 2 MB"), ("{", "was not imported")):
        with pytest.raises(gr.Error, match=problem):
            _imported(wrong, engine)
