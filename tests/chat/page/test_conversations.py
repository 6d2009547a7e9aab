"""Conversations that come from the browser's store, whatever stands there, and the personas of the page."""

import pytest

from chat.page.conversations import _current, readable
from chat.page.replies import ReplyDetails, turns_from
from chat.personas import PRESETS, random_persona
from chat.session import MAX_MESSAGE_CHARACTERS, MAX_TURNS, persona_from

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
    import gradio as gr

    from chat.page.layout import build_page

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
    from chat.page.layout import build_page

    drawing = next(each for each in build_page(engine).fns.values() if each.name == "draw")
    history = [{"role": role, "content": "Hi"} for role in ("user", "assistant")] * (MAX_TURNS // 2)
    record = {"id": "1", "replies": {"1": DETAILS, str(MAX_TURNS - 1): DETAILS}}
    given = ("I sing.", 1.0, 1.0, 0, 8, 1, 7, True, record)
    *_, shown = drawing.fn([*history, {"role": "user", "content": "The last"}], None, *given)
    assert len(shown) == MAX_TURNS and shown[-2]["content"] == "The last"
    assert [*record["replies"]] == [str(MAX_TURNS - 3), str(MAX_TURNS - 1)]
    assert record["replies"][str(MAX_TURNS - 1)]["reply"] == shown[-1]["content"]
