"""Conversations in a real browser: kept there, found again, left, exported, and never another visitor's."""

import json

import pytest

from tests.chat.page.conftest import Visitor, served
from tests.processes import free_port


def test_what_is_cleared_is_left_and_not_lost(visitor):
    visitor.say("Precious conversation")
    visitor.open_side_bar()
    visitor.until(lambda: visitor.titles() == ["Precious conversation"])
    visitor.press("Clear")
    visitor.until(lambda: visitor.messages() == [])
    assert visitor.say("Hi!") and len(visitor.messages()) == 2
    visitor.until(lambda: visitor.titles() == ["Hi!", "Precious conversation"])


def test_conversations_outlive_a_reload_and_a_new_server(chromium, pocket, screenshot):
    port = free_port()
    with served(pocket, port=port) as address:
        visitor = Visitor(chromium, address)
        visitor.page.get_by_label("Who the bot is").fill("I am a sailor.")
        visitor.say("First conversation")
        visitor.open_side_bar()
        visitor.press("New conversation")
        visitor.until(lambda: visitor.messages() == [])
        visitor.page.get_by_label("Who the bot is").fill("I am a baker.")
        visitor.say("Second conversation")
        second = visitor.messages()
        visitor.until(lambda: visitor.titles() == ["Second conversation", "First conversation"])
        screenshot(visitor, "conversations")
        visitor.open()
        visitor.until(lambda: visitor.messages() == second)
        visitor.until(lambda: visitor.persona() == "I am a baker.")
        assert "Seed " in visitor.about()
    with served(pocket, port=port):
        visitor.open()
        visitor.until(lambda: visitor.messages() == second)
        visitor.open_side_bar()
        visitor.page.get_by_text("First conversation", exact=True).click()
        visitor.until(lambda: visitor.messages()[:1] == [("user", "First conversation")])
        visitor.until(lambda: visitor.persona() == "I am a sailor.")
        visitor.open()
        visitor.until(lambda: visitor.messages()[:1] == [("user", "First conversation")])
        assert visitor.say("Go on") and visitor.messages()[0] == ("user", "First conversation")
        visitor.open_side_bar()
        visitor.until(lambda: visitor.titles() == ["First conversation", "Second conversation"])
        visitor.press("Delete")
        visitor.until(lambda: visitor.titles() == ["Second conversation"] and visitor.messages() == [])
        assert visitor.dialogs == ['Delete "First conversation" from this browser?']
        visitor.open()
        visitor.until(lambda: visitor.messages() == second)
        visitor.context.close()


@pytest.mark.slow
def test_what_is_sent_before_the_conversation_is_back_waits_for_it(visitor):
    visitor.say("Precious conversation")
    before = visitor.messages()
    visitor.until(lambda: "Precious" in visitor.kept())
    held = []
    visitor.page.route("**/gradio_api/run/**", lambda each: held.append(each))
    visitor.open()
    visitor.until(lambda: held)
    visitor.type("Do you hear me?")
    visitor.page.get_by_role("button", name="Send").click()
    visitor.page.wait_for_timeout(300)
    assert visitor.messages() == [] and "hear" not in visitor.kept()
    for each in held:
        each.continue_()
    visitor.page.unroute("**/gradio_api/run/**")
    visitor.reply_after(3)
    assert visitor.messages()[:-1] == [*before, ("user", "Do you hear me?")]
    visitor.open_side_bar()
    visitor.until(lambda: "hear" in visitor.kept() and visitor.titles() == ["Precious conversation"])


def choose_the_first(visitor, folder):
    visitor.page.get_by_text("Precious conversation", exact=True).click()


def import_one(visitor, folder):
    turns = [{"role": "user", "content": "Imported?"}, {"role": "assistant", "content": "Yes."}]
    path = folder / "conversation.json"
    path.write_text(json.dumps({"persona": ["I am a baker."], "turns": turns}))
    visitor.import_file(path)


def begin_from_the_summary(visitor, folder):
    visitor.press("who you said you are")


@pytest.mark.slow
@pytest.mark.parametrize("leaves", [choose_the_first, import_one, begin_from_the_summary])
def test_what_is_sent_on_the_way_to_another_conversation_is_said_in_that_one(visitor, tmp_path, leaves):
    visitor.say("Precious conversation")
    visitor.open_side_bar()
    visitor.press("New conversation")
    visitor.until(lambda: visitor.messages() == [])
    visitor.say("I have two dogs.")
    visitor.until(lambda: len(visitor.titles()) == 2)
    visitor.page.get_by_text("Summary of this conversation").click()
    visitor.page.locator("#summary textarea").fill("You: I have two dogs.")
    kept = {each["id"]: each["turns"] for each in json.loads(visitor.kept())}
    held = []
    visitor.page.route("**/gradio_api/**", lambda each: held.append(each))
    leaves(visitor, tmp_path)
    visitor.until(lambda: held)
    visitor.type("Do you hear me?")
    visitor.page.wait_for_timeout(100)
    for each in held:
        each.continue_()
    visitor.page.unroute("**/gradio_api/**")
    visitor.until(lambda: "hear" in visitor.kept() and visitor.is_idle())
    for identity, turns in kept.items():
        assert turns in [each["turns"][: len(turns)] for each in json.loads(visitor.kept())], identity
    assert ("user", "I have two dogs.") not in visitor.messages()


@pytest.mark.slow
def test_what_brings_no_conversation_holds_nothing_up(visitor, tmp_path):
    (tmp_path / "list.json").write_text("[1, 2]")
    visitor.say("Precious conversation")
    visitor.open_side_bar()
    visitor.import_file(tmp_path / "list.json")
    visitor.read_toast("This file was not imported")
    visitor.page.get_by_text("Summary of this conversation").click()
    visitor.press("who you said you are")
    visitor.read_toast("The summary has nothing of that side")
    visitor.type("Do you hear me?")
    visitor.until(lambda: ("user", "Do you hear me?") in visitor.messages(), seconds=10)
    visitor.reply_after(3)


@pytest.mark.slow
def test_a_reload_keeps_what_is_in_the_field(visitor):
    visitor.page.locator("#message textarea").fill("A long thought")
    visitor.page.goto(visitor.address, wait_until="commit")
    visitor.open()
    visitor.until(lambda: visitor.page.locator("#message textarea").input_value() == "A long thought")
    assert not visitor.page.evaluate("sessionStorage.getItem('gpt2-chat-draft')")
    visitor.page.locator("#message textarea").press("Enter")
    visitor.reply_after(1)
    assert visitor.messages()[0] == ("user", "A long thought")
    visitor.open()
    visitor.until(lambda: len(visitor.messages()) == 2)
    assert visitor.page.locator("#message textarea").input_value() == ""


@pytest.mark.slow
def test_a_message_that_never_reached_the_server_goes_back_into_the_field(visitor):
    visitor.say("Hi!")
    visitor.until(lambda: "Hi!" in visitor.kept())
    visitor.page.route("**/queue/**", lambda route: None)
    visitor.page.route("**/run/**", lambda route: None)
    visitor.type("Which city are you from?")
    visitor.page.unroute_all()
    visitor.open()
    box = visitor.page.locator("#message textarea")
    visitor.until(lambda: box.input_value() == "Which city are you from?" and len(visitor.messages()) == 2)
    visitor.until(visitor.is_idle)
    box.press("Enter")
    visitor.reply_after(3)
    assert [text for who, text in visitor.messages() if who == "user"] == ["Hi!", "Which city are you from?"]


def test_a_page_opens_on_a_store_that_is_none(visitor):
    visitor.page.evaluate("localStorage.setItem('gpt2-chat-conversations', '[null, 5]')")
    visitor.open()
    assert visitor.say("Hello")
    visitor.until(lambda: "Hello" in visitor.kept())


@pytest.mark.slow
def test_a_page_that_stays_open_goes_on_with_a_new_server(chromium, pocket, monkeypatch):
    asked, stream = [], pocket.stream
    monkeypatch.setattr(
        pocket, "stream", lambda messages, *given: asked.append(messages) or stream(messages, *given)
    )
    port = free_port()
    with served(pocket, port=port) as address:
        visitor = Visitor(chromium, address)
        visitor.page.get_by_label("Who the bot is").fill("I am a sailor.")
        visitor.say("What is your name?")
        before = visitor.messages()
    with served(pocket, port=port):
        visitor.page.wait_for_timeout(6000)
        visitor.say("Are you back?")
        after = visitor.messages()
        assert after[:3] == [*before, ("user", "Are you back?")] and len(after) == 4
        assert [each["content"] for each in asked[-1][1:]] == [text for _, text in after[:3]]
        visitor.open_side_bar()
        visitor.until(lambda: visitor.titles() == ["What is your name?"])
        visitor.page.locator("#chatbot [data-testid=bot]").first.click()
        about = visitor.page.get_by_label("About a reply")
        visitor.until(lambda: about.count() and before[1][1] in about.input_value())
        visitor.open()
        visitor.until(lambda: visitor.messages() == after)
        visitor.context.close()


@pytest.mark.slow
def test_two_tabs_keep_each_others_conversations(visitor):
    visitor.say("In the first tab")
    with visitor.another_tab():
        visitor.open_side_bar()
        visitor.until(lambda: visitor.titles() == ["In the first tab"])
        visitor.press("New conversation")
        visitor.until(lambda: visitor.messages() == [])
        visitor.say("In the second tab")
    visitor.say("More in the first")
    visitor.open_side_bar()
    visitor.until(lambda: visitor.titles() == ["In the first tab", "In the second tab"])
    visitor.open()
    visitor.until(lambda: len(visitor.messages()) == 4)


@pytest.mark.slow
def test_two_tabs_of_one_conversation_lose_nothing_of_each_other(visitor):
    """What both have gone on with becomes two conversations."""
    visitor.say("Where we began")
    begun = visitor.messages()
    with visitor.another_tab():
        visitor.until(lambda: visitor.messages() == begun)
        visitor.say("On in the second tab")
        second = visitor.messages()
        visitor.until(lambda: json.dumps(second[-1][1])[1:-1] in visitor.kept())
    visitor.say("On in the first tab")
    visitor.say("And on")
    first = visitor.messages()
    visitor.open_side_bar()
    visitor.until(lambda: visitor.titles() == ["Where we began", "Where we began"])
    conversations = visitor.page.locator("#conversations label")
    conversations.last.click()
    visitor.until(lambda: visitor.messages() == second)
    visitor.until(lambda: len(visitor.titles()) == 2)
    for number, expected in ((0, first), (1, second)):
        conversations.nth(number).click()
        visitor.until(lambda expected=expected: visitor.messages() == expected)
    visitor.open()
    visitor.until(lambda: visitor.messages() == second)


def test_two_browsers_see_only_their_own(visitor, other, marker):
    visitor.say(f"My name is {marker}.")
    assert other.messages() == [] and other.say("Who was here?")
    other.open()
    other.open_side_bar()
    other.until(lambda: other.titles() == ["Who was here?"])
    assert marker not in other.page.content()


def test_a_conversation_is_exported_and_imported(visitor, other, tmp_path):
    visitor.page.get_by_label("Who the bot is").fill("I am a sailor.")
    visitor.say("Where do you <i>live</i>?")
    visitor.open_side_bar()
    with visitor.page.expect_download() as download:
        visitor.press("Export")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["persona"] == ["I am a sailor."]
    assert found["turns"][0] == {"role": "user", "content": "Where do you <i>live</i>?"}
    other.open_side_bar()
    other.import_file(path)
    other.until(lambda: other.messages() == visitor.messages())
    assert other.persona() == "I am a sailor." and other.say("And now?")
    bad = tmp_path / "bad.json"
    before = other.messages()
    for content, problem in (
        ('{"turns": 5}', "`turns` must be a list"),
        ("no JSON", "the conversation is not JSON"),
        ("", "the conversation is not JSON"),
        ('{"turns": [], "x": "' + "x" * 3_000_000 + '"}', "it has more than 2 MB"),
    ):
        bad.write_text(content)
        other.import_file(bad)
        other.read_toast(f"This file was not imported: {problem}")
    assert other.messages() == before
