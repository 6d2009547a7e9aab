"""The function behind the chat, and what it notes of each reply."""

import json
from types import SimpleNamespace

import pytest

from chat.engine import FALLBACK_REPLY, EngineBusy
from chat.feedback import FeedbackLog
from chat.page.conversations import _current
from chat.page.layout import build_page
from chat.page.replies import about_reply, answerer
from chat.session import MAX_TURNS

SETTINGS = (1.0, 1.0, 0, 8, 1)


def ask(answer, message: str, history: list, record: dict, seed: int = 7, persona: str = "I sing.") -> str:
    reply = [*answer(message, history, persona, *SETTINGS, seed, True, record)][-1]
    history += [{"role": "user", "content": message}, {"role": "assistant", "content": reply}]
    return reply


def test_each_reply_has_its_details(engine):
    record, history, answer = {}, [], answerer(engine, None)
    replies = [ask(answer, f"Hi {number}", history, record, seed=number) for number in range(3)]
    assert [(record["replies"][place]["reply"], record["replies"][place]["seed"]) for place in "135"] == [
        (reply, number) for number, reply in enumerate(replies)
    ]
    identity = record["id"]
    del history[2:]
    again = ask(answer, "Hi again", history, record, seed=9)
    assert [*record["replies"]] == ["1", "3"] and record["replies"]["3"]["reply"] == again
    assert record["id"] == identity


def test_the_longest_conversation_keeps_its_details_in_place(engine):
    history = [{"role": role, "content": "Hi"} for role in ("user", "assistant")] * (MAX_TURNS // 2)
    record = {"id": "1", "replies": {}}
    reply = ask(answerer(engine, None), "The last", history, record)
    shown = history[-MAX_TURNS:]
    assert shown[int(next(iter(record["replies"])))]["content"] == reply
    assert "Seed 7" in about_reply(engine, shown, "", record, None)


def test_the_details_are_of_the_persona_that_the_reply_was_drawn_for(engine, monkeypatch):
    record, history = {}, []
    ask(answerer(engine, None), "Hi", history, record, persona="I sing.")
    assert record["replies"]["1"]["persona"] == "I sing."
    asked = []
    monkeypatch.setattr("chat.page.replies.leaning", lambda _, persona, *further: asked.append(persona))
    about_reply(engine, history, "I dance.", record, None)
    about_reply(engine, history, "I dance.", {}, None)
    assert asked == [("I sing.",), ("I dance.",)]


def test_a_reply_that_took_no_time_has_a_speed(engine):
    """As that to what is not to be asked."""
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    details = {"reply": "Hello", "persona": "", "seed": 7, "seconds": 0.0, "tokens": 2}
    told = about_reply(engine, history, "", {"id": "1", "replies": {"1": details}}, None)
    assert "2 tokens in 0.00 s" in told and told.endswith("Seed 7")


@pytest.mark.parametrize("place", [-1, 0, 2, 99])
def test_where_there_is_no_reply_it_says_so(engine, place):
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert "no reply here" in about_reply(engine, history, "", {}, place)
    assert "no reply here" in about_reply(engine, [], "", {}, None)


def test_what_was_imported_has_no_seed(engine):
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    told = about_reply(engine, history, "", {"id": "1", "replies": {}}, None)
    assert told.startswith('"Hello"') and "no persona" in told and "not known" in told


def test_details_of_another_text_in_its_place_are_not_a_reply_s(engine):
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    details = {"reply": "Bye", "persona": "", "seed": 7, "seconds": 1.0, "tokens": 2}
    told = about_reply(engine, history, "", {"id": "1", "replies": {"1": details}}, None)
    assert told.endswith("not known: it was not drawn on this page.")


def test_a_busy_model_leaves_only_what_a_reply_leans_on_unknown(engine, monkeypatch):
    record, history = {}, []
    ask(answerer(engine, None), "Hi", history, record)

    def busy(*given):
        raise EngineBusy("busy")

    monkeypatch.setattr("chat.page.replies.leaning", busy)
    told = about_reply(engine, history, "", record, None)
    assert "is not known: the model is busy." in told and told.endswith("Seed 7")


def test_the_settings_reach_the_engine_and_a_fallback_is_logged_as_one(engine, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(engine, "stream", lambda *given: asked.append(given) or iter([FALLBACK_REPLY]))
    log = FeedbackLog(tmp_path)
    record = {"id": "1", "replies": {}, "rejected": ["No."]}
    [*answerer(engine, log)("Hi", [], "I sing.", 0.5, 0.75, 9, 11, 2, 0, True, record)]
    [(messages, settings, rejected)] = asked
    assert "I sing." in messages[0]["content"] and [*rejected] == ["No."]
    kept = (settings.temperature, settings.top_p, settings.top_k, settings.max_new_tokens, settings.best_of)
    assert (*kept, settings.seed) == (0.5, 0.75, 9, 11, 2, 0)
    assert json.loads(log.file.read_text(encoding="utf-8"))["fallback"]


def test_a_reply_that_was_stopped_is_logged_as_far_as_it_came(engine, tmp_path):
    log, record = FeedbackLog(tmp_path), {}
    drawing = answerer(engine, log)("Hi", [], "", *SETTINGS, 7, True, record)
    reply = next(drawing)
    drawing.close()
    assert record["replies"]["1"]["reply"] == reply
    assert log.file.read_text(encoding="utf-8").count("\n") == 1
    [*answerer(engine, log)("Hi", [], "", *SETTINGS, 7, "true", record)]
    [*answerer(engine, log)("", [], "", *SETTINGS, 7, True, record)]
    assert log.file.read_text(encoding="utf-8").count("\n") == 1


def test_likes_of_conversations_that_the_server_has_forgotten_are_each_somebody_elses(engine, tmp_path):
    log = FeedbackLog(tmp_path)
    like = next(each.fn for each in build_page(engine, log).fns.values() if each.name == "like")
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    records = [{}, {}]
    for record, liked in zip([*records, records[0]], (True, False, None), strict=True):
        like(history, True, record, SimpleNamespace(index=1, liked=liked))
    # A message of the visitor's own, nothing, and without consent.
    for index, consent in ((0, True), (2, True), (-1, True), (1, "true")):
        like(history, consent, records[0], SimpleNamespace(index=index, liked=True))
    events = [json.loads(line) for line in log.file.read_text().splitlines()]
    told = [(each["message"], each["reply"], each["liked"]) for each in events]
    assert told == [("Hi", "Hello", liked) for liked in (True, False, None)]
    first, second, again = (each["conversation"] for each in events)
    assert first == again == records[0]["id"] and second == records[1]["id"] != first
    assert _current(history, "", records[0])["continues"]
    ask(answerer(engine, log), "And you?", history, records[0])
    assert records[0]["id"] == first and records[0]["continues"]
