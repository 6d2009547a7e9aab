"""The page in a real browser: what a visitor does, and what they then see."""

import json

from tests.chat.page.conftest import Visitor


def test_a_message_is_answered_and_the_details_are_told(visitor, screenshot):
    reply = visitor.say("Do you have any pets?")
    assert visitor.messages() == [("user", "Do you have any pets?"), ("bot", reply)] and reply
    visitor.press("About the last reply")
    about = visitor.page.get_by_label("About a reply")
    visitor.until(lambda: about.input_value())
    told = about.input_value()
    assert reply in told and "tokens per second" in told and "Seed " in told
    assert "leans on" in told
    screenshot(visitor, "details")


def test_a_click_on_a_reply_tells_of_that_reply(visitor):
    first, second = visitor.say("Hi!"), visitor.say("What do you do for work?")
    visitor.page.locator("#chatbot [data-testid=bot]").first.click()
    about = visitor.page.get_by_label("About a reply")
    visitor.until(lambda: about.input_value().startswith(f'"{first}"'))
    visitor.page.locator("#chatbot [data-testid=bot]").last.click()
    visitor.until(lambda: about.input_value().startswith(f'"{second}"'))


def test_a_reply_streams_and_can_be_stopped(chromium, slow_address, slow_engine):
    visitor = Visitor(chromium, slow_address)
    visitor.page.get_by_text("How replies are drawn").click()
    for label, value in (("Temperature", "1.5"), ("Longest reply", "200")):
        visitor.page.get_by_label(f"number input for {label}").fill(value)
        visitor.page.keyboard.press("Tab")
    visitor.type("Hello")
    visitor.until(lambda: len(visitor.messages()) == 2 and visitor.messages()[1][1])
    first = visitor.messages()[1][1]
    visitor.until(lambda: len(visitor.messages()[1][1]) > len(first))
    visitor.page.locator("#message button.stop-button").click()
    visitor.until(visitor.is_idle)
    stopped = visitor.messages()
    visitor.page.wait_for_timeout(500)
    assert visitor.messages() == stopped and len(stopped) == 2
    assert visitor.page.locator("#message textarea").is_enabled()
    visitor.context.close()


def test_retry_undo_edit_and_clear(visitor):
    visitor.say("Hi there!")
    visitor.say("What do you like to eat?")
    asked = visitor.messages()[2]
    visitor.press("Retry")
    visitor.reply_after(3)
    assert len(visitor.messages()) == 4 and visitor.messages()[2] == asked
    visitor.press("Undo")
    visitor.until(lambda: len(visitor.messages()) == 2)
    assert visitor.page.locator("#message textarea").input_value() == "What do you like to eat?"
    visitor.page.locator("#message textarea").fill("")
    visitor.press("Edit")
    visitor.page.locator("#chatbot textarea").fill("Do you have a <b>dog</b>?")
    visitor.press("Submit")
    visitor.until(lambda: visitor.messages()[:1] == [("user", "Do you have a <b>dog</b>?")])
    visitor.reply_after(1)
    visitor.press("Clear")
    visitor.until(lambda: visitor.messages() == [])


def test_again_with_another_seed_draws_another_reply(visitor):
    visitor.page.get_by_text("How replies are drawn").click()
    visitor.page.get_by_label("Seed").fill("7")
    first = visitor.say("Tell me about yourself.")
    visitor.press("Retry")
    visitor.page.wait_for_timeout(1000)
    assert visitor.reply_after(1) == first
    visitor.press("Again with another seed")
    visitor.until(lambda: visitor.is_idle() and visitor.messages()[-1] not in (("bot", first), ("bot", "")))
    assert len(visitor.messages()) == 2
    assert visitor.say("Why?") and len(visitor.messages()) == 4


def test_markup_is_shown_as_the_text_that_it_is(visitor, screenshot):
    text = "<script>alert(1)</script> <b>bold</b> &lt; **stars** <img src=x onerror=alert(2)>"
    visitor.say(text)
    assert visitor.messages()[0] == ("user", text)
    assert visitor.page.locator("#chatbot .message b, #chatbot .message img, #chatbot script").count() == 0
    screenshot(visitor, "markup")


def test_a_persona_is_chosen_changed_and_drawn(visitor):
    nurse = visitor.persona()
    visitor.say("Hello!")
    visitor.page.get_by_label("A persona").click()
    visitor.page.get_by_role("option", name="A farmer").click()
    visitor.until(lambda: "I live on a farm." in visitor.persona())
    visitor.press("Surprise me")
    visitor.until(lambda: "I live on a farm.\nI have three dogs." not in visitor.persona())
    assert visitor.persona() != nurse and visitor.persona().count("\n") == 4
    visitor.page.get_by_label("Who the bot is").fill("My name is Ferdinand.")
    visitor.say("What is your name?")
    assert len(visitor.messages()) == 4
    visitor.press("About the last reply")
    about = visitor.page.get_by_label("About a reply")
    visitor.until(lambda: about.input_value())
    assert "Ferdinand" in about.input_value() or "no sentence of the persona" in about.input_value()


def test_conversations_outlive_a_reload_and_a_new_server(chromium, pocket, screenshot):
    from tests.chat.page.conftest import served

    with served(pocket) as address:
        port = int(address.rpartition(":")[2])
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
        assert visitor.persona() == "I am a baker."
    with served(pocket, port=port):
        visitor.open()
        visitor.until(lambda: visitor.messages() == second)
        visitor.open_side_bar()
        visitor.page.get_by_text("First conversation", exact=True).click()
        visitor.until(lambda: visitor.messages()[:1] == [("user", "First conversation")])
        assert visitor.persona() == "I am a sailor."
        visitor.press("Delete")
        visitor.until(lambda: visitor.titles() == ["Second conversation"] and visitor.messages() == [])
        visitor.context.close()


def test_two_browsers_see_only_their_own(chromium, visitor, address, marker):
    other = Visitor(chromium, address)
    visitor.say(f"My name is {marker}.")
    assert other.messages() == [] and other.say("Who was here?")
    other.open()
    other.open_side_bar()
    other.until(lambda: other.titles() == ["Who was here?"])
    assert marker not in other.page.content()
    other.context.close()


def test_a_conversation_is_exported_and_imported(chromium, visitor, address, tmp_path):
    visitor.page.get_by_label("Who the bot is").fill("I am a sailor.")
    visitor.say("Where do you live?")
    visitor.open_side_bar()
    with visitor.page.expect_download() as download:
        visitor.press("Export")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept["persona"] == ["I am a sailor."] and kept["turns"][0]["content"] == "Where do you live?"
    other = Visitor(chromium, address)
    other.open_side_bar()
    other.page.locator("input[type=file]").first.set_input_files(path)
    other.until(lambda: other.messages() == visitor.messages())
    assert other.persona() == "I am a sailor." and other.say("And now?")
    bad = tmp_path / "bad.json"
    bad.write_text('{"turns": 5}')
    before = other.messages()
    other.page.locator("input[type=file]").first.set_input_files(bad)
    other.page.get_by_text("This file was not imported").wait_for()
    assert other.messages() == before
    other.context.close()


def test_the_summary_becomes_the_next_persona(visitor):
    visitor.say("Hi! I have a dog named Rex and I work as a baker in Leeds.")
    visitor.page.get_by_text("Summary of this conversation").click()
    visitor.press("Who said what about themselves")
    summary = visitor.page.locator("#summary textarea")
    visitor.until(lambda: "dog named Rex" in summary.input_value())
    visitor.press("who you said you are")
    visitor.until(lambda: visitor.messages() == [])
    assert "dog named Rex" in visitor.persona()


def test_phone_and_dark(chromium, address, screenshot):
    phone = Visitor(chromium, address, is_mobile=True, has_touch=True)
    phone.page.set_viewport_size({"width": 375, "height": 760})
    phone.open()
    phone.say("Hi! How are you today?")
    width = phone.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 375
    screenshot(phone, "phone-light")
    phone.press("Light / dark")
    phone.until(lambda: brightness(phone) < 150)
    screenshot(phone, "phone-dark")
    phone.context.close()


def brightness(visitor: Visitor) -> int:
    """Of the page's ground, 0 to 765."""
    colour = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, colour.partition("(")[2].rstrip(")").split(",")[:3]))


def test_pictures_of_a_conversation(visitor, screenshot):
    for text in ("Hi! How are you today?", "Do you have any pets?", "What do you do for work?"):
        assert visitor.say(text)
    screenshot(visitor, "desktop-light")
    visitor.press("Light / dark")
    visitor.until(lambda: brightness(visitor) < 150)
    visitor.page.wait_for_timeout(500)
    screenshot(visitor, "desktop-dark")
