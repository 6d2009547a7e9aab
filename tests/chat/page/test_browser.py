"""The page in a real browser: what a visitor does, and what they then see."""

import json

import pytest

from chat.engine import MAX_REQUESTS
from tests.chat.page.conftest import Visitor, served
from tests.chat.page.test_api import kept

LONG_REPLIES = {"Temperature": "1.5", "Longest_reply": "200"}
VARIED_REPLIES = {"Temperature": "1.5", "Top-p": "1", "Best_of": "1"}


def test_a_message_is_answered_and_the_details_are_told(visitor, screenshot):
    reply = visitor.say("Do you have any pets?")
    assert visitor.messages() == [("user", "Do you have any pets?"), ("bot", reply)] and reply
    told = visitor.about()
    assert reply in told and "tokens per second" in told and "Seed " in told
    assert "leans on" in told
    screenshot(visitor, "details")


def test_a_click_on_a_reply_tells_of_that_reply(visitor):
    first, second = visitor.say("Hi!"), visitor.say("What do you do for work?")
    visitor.page.locator("#chatbot [data-testid=bot]").first.click()
    about = visitor.page.get_by_label("About a reply")
    visitor.until(lambda: about.count() and about.input_value().startswith(f'"{first}"'))
    visitor.page.locator("#chatbot [data-testid=bot]").last.click()
    visitor.until(lambda: about.input_value().startswith(f'"{second}"'))


@pytest.mark.slow
def test_what_is_asked_for_can_be_seen(visitor):
    """The reply to what is sent while an earlier part is read, and, on a phone, what is told of a reply."""
    log = visitor.page.locator("#chatbot [role=log]")
    visitor.page.set_viewport_size({"width": 390, "height": 600})
    visitor.say("Do you have any pets? " * 40)
    assert log.evaluate("each => each.scrollHeight - each.clientHeight") > 100
    log.evaluate("each => each.scrollTo(0, 0)")
    visitor.page.wait_for_timeout(300)
    visitor.say("Why?")
    visitor.until(lambda: log.evaluate("each => each.scrollHeight - each.clientHeight - each.scrollTop") < 20)
    visitor.page.locator("#chatbot [data-testid=bot]").last.click()
    about = visitor.page.get_by_label("About a reply")
    is_seen = "each => each.getBoundingClientRect().top < innerHeight - 20"
    visitor.until(lambda: about.count() and about.evaluate(is_seen))
    visitor.page.set_viewport_size({"width": 1280, "height": 900})


def test_an_example_is_an_opener(visitor):
    visitor.page.get_by_text("Do you have any pets?").click()
    visitor.reply_after(1)
    assert visitor.messages()[0] == ("user", "Do you have any pets?") and len(visitor.messages()) == 2
    visitor.say("Why?")
    visitor.page.wait_for_timeout(1000)
    visitor.open()
    visitor.until(lambda: len(visitor.messages()) == 4)


def test_a_long_message_leaves_the_button_that_sends_it_on_the_screen(visitor):
    visitor.page.locator("#message textarea").fill("A line\n" * 60)
    send = visitor.page.locator("#message button.submit-button")
    visitor.page.wait_for_timeout(300)
    assert is_on_top(send)
    send.click()
    visitor.reply_after(1)


def test_nothing_is_sent_where_nothing_is_written(visitor):
    visitor.type("   ")
    visitor.page.locator("#message button.submit-button").click()
    visitor.say("Hello!")
    assert len(visitor.messages()) == 2


def test_where_there_is_no_reply_none_can_be_drawn_again(visitor):
    visitor.press("Again with another seed")
    visitor.read_toast("There is no reply yet to be drawn again.")
    visitor.until(lambda: visitor.is_idle() and visitor.messages() == [])


def test_a_reply_streams_and_can_be_stopped(waiting):
    waiting.set_decoding(**LONG_REPLIES)
    waiting.type("Hello")
    stop_when_it_streams(waiting)
    waiting.set_decoding(Longest_reply="3")
    assert waiting.say("Bye") and len(waiting.messages()) == 4


def wait_for_the_first_word(visitor: Visitor, longest_reply: str) -> list[tuple[str, str]]:
    """Sends a second message, of whose reply no word comes; what was said before it."""
    visitor.set_decoding(Best_of="2", Longest_reply="3")
    visitor.say("Hello")
    before = visitor.messages()
    visitor.set_decoding(Longest_reply=longest_reply)
    visitor.type("Which city are you from?")
    return before


def test_a_message_that_was_stopped_before_a_word_came_goes_back_into_the_field(waiting):
    before = wait_for_the_first_word(waiting, longest_reply="50")
    waiting.listen()
    waiting.page.locator("#message button.stop-button").click()
    box = waiting.page.locator("#message textarea")
    waiting.until(lambda: waiting.is_idle() and box.input_value() == "Which city are you from?")
    waiting.page.wait_for_timeout(500)
    assert waiting.messages() == before and before[-1][1] not in waiting.heard()
    waiting.set_decoding(Longest_reply="3")
    waiting.say("Do you have pets?")
    assert waiting.messages()[:2] == before and waiting.messages()[2] == ("user", "Do you have pets?")


@pytest.mark.slow
def test_a_message_whose_reply_a_reload_broke_off_before_a_word_goes_back_into_the_field(
    chromium, slow_address
):
    visitor = Visitor(chromium, slow_address)
    before = wait_for_the_first_word(visitor, longest_reply="100")
    visitor.until(lambda: "city" in visitor.kept())
    visitor.open()
    box = visitor.page.locator("#message textarea")
    visitor.until(lambda: visitor.messages() == before and box.input_value() == "Which city are you from?")
    visitor.until(lambda: "city" not in visitor.kept())
    visitor.set_decoding(Longest_reply="3")
    box.press("Enter")
    visitor.reply_after(3)
    assert visitor.messages()[:-1] == [*before, ("user", "Which city are you from?")]
    visitor.context.close()


@pytest.mark.slow
def test_a_reply_drawn_again_or_to_an_edited_message_can_be_stopped(chromium, slow_address):
    for way in (draw_again, edit):
        visitor = Visitor(chromium, slow_address)
        visitor.set_decoding(Longest_reply="3")
        visitor.say("Hello")
        visitor.set_decoding(**LONG_REPLIES)
        way(visitor)
        stop_when_it_streams(visitor)
        visitor.context.close()


def draw_again(visitor: Visitor) -> None:
    visitor.press("Again with another seed")


def edit(visitor: Visitor) -> None:
    visitor.press("Edit")
    visitor.page.locator("#chatbot textarea").fill("Hello again")
    visitor.press("Submit")
    visitor.until(lambda: visitor.messages()[:1] == [("user", "Hello again")])


def stop_when_it_streams(visitor: Visitor) -> None:
    stop = visitor.page.locator("#message button.stop-button")
    stop.wait_for()
    visitor.until(lambda: len(visitor.messages()) == 2 and visitor.messages()[1][1])
    first = visitor.messages()[1][1]
    visitor.until(lambda: [text for _, text in visitor.messages()[1:]] not in ([], [""], [first]))
    stop.click()
    visitor.until(visitor.is_idle)
    stopped = visitor.messages()
    visitor.page.wait_for_timeout(500)
    assert visitor.messages() == stopped and len(stopped) == 2


@pytest.mark.slow
def test_a_new_conversation_ends_the_reply_in_the_old_one(chromium, slow_address):
    visitor = Visitor(chromium, slow_address)
    visitor.set_decoding(**LONG_REPLIES)
    visitor.open_side_bar()
    visitor.type("Hello")
    visitor.until(lambda: len(visitor.messages()) == 2 and visitor.messages()[1][1])
    visitor.until(lambda: visitor.titles() == ["Hello"])
    visitor.press("New conversation")
    visitor.until(lambda: visitor.is_idle() and visitor.messages() == [])
    visitor.page.wait_for_timeout(2000)
    assert visitor.messages() == [] and visitor.titles() == ["Hello"]
    visitor.set_decoding(Longest_reply="3")
    visitor.say("Bye")
    visitor.until(lambda: visitor.titles() == ["Bye", "Hello"])
    visitor.page.get_by_text("Hello", exact=True).last.click()
    visitor.until(lambda: visitor.messages()[:1] == [("user", "Hello")] and len(visitor.messages()) == 2)
    visitor.context.close()


@pytest.mark.slow
def test_a_visitor_who_is_told_that_it_is_busy_loses_nothing(chromium, slow_engine, slow_address):
    visitor = Visitor(chromium, slow_address)
    visitor.set_decoding(Longest_reply="5")
    visitor.say("Hello")
    before = visitor.messages()
    for _ in range(MAX_REQUESTS):
        assert slow_engine._places.acquire(timeout=60)
    try:
        visitor.press("Again with another seed")
        visitor.read_toast("The model is busy")
        visitor.until(visitor.is_idle)
        assert visitor.messages() == before
        visitor.type("Are you there?")
        visitor.read_toast("The model is busy")
        box = visitor.page.locator("#message textarea")
        visitor.until(lambda: visitor.is_idle() and box.input_value() == "Are you there?")
        assert visitor.messages() == before
    finally:
        for _ in range(MAX_REQUESTS):
            slow_engine._places.release()
    visitor.say("And now?")
    assert visitor.messages()[:2] == before and visitor.messages()[-2] == ("user", "And now?")
    visitor.context.close()


def test_retry_undo_edit_and_clear(visitor):
    visitor.say("Hi there!")
    # Which draws the same replies again.
    visitor.set_decoding(Seed="7")
    visitor.say("What do you like to eat?")
    asked = visitor.messages()[2]
    drawn = [visitor.messages()[3]]
    for button in ("Retry", "Again with another seed", "Retry"):
        visitor.press(button)
        visitor.page.locator("#message button.stop-button").wait_for()
        visitor.reply_after(3)
        assert len(visitor.messages()) == 4 and visitor.messages()[2] == asked
        drawn.append(visitor.messages()[3])
    assert len({*drawn}) == 4
    visitor.press("Undo")
    visitor.until(lambda: len(visitor.messages()) == 2)
    box = visitor.page.locator("#message textarea")
    visitor.until(lambda: box.input_value() == "What do you like to eat?")
    box.fill("")
    visitor.press("Edit")
    visitor.page.locator("#chatbot textarea").fill("Do you have a <b>dog</b>?")
    visitor.press("Submit")
    visitor.until(lambda: visitor.messages()[:1] == [("user", "Do you have a <b>dog</b>?")])
    visitor.reply_after(1)
    visitor.say("Why?")
    assert len(visitor.messages()) == 4
    before = visitor.messages()
    visitor.press("Edit")
    visitor.page.locator("#chatbot textarea").fill("   ")
    visitor.press("Submit")
    visitor.page.wait_for_timeout(300)
    visitor.until(lambda: visitor.is_idle() and visitor.messages() == before)


@pytest.mark.slow
def test_again_with_another_seed_draws_with_another_seed(visitor):
    visitor.set_decoding(**VARIED_REPLIES, Seed="7")
    first = visitor.say("Tell me about yourself.")
    assert visitor.about().endswith("Seed 7")
    visitor.press("Again with another seed")
    visitor.until(lambda: visitor.messages()[-1] not in (("bot", first), ("bot", "")))
    visitor.until(visitor.is_idle)
    assert len(visitor.messages()) == 2 and not visitor.about().endswith("Seed 7")
    assert visitor.say("Why?") and len(visitor.messages()) == 4


MARKUP = (
    "<script>alert(1)</script> <b>bold</b> &lt; **stars** `code` <img src=x onerror=alert(2)> <!-- gone? --> "
    "$$x^2$$ https://example.com [a link](https://example.com) \\(y\\)"
)


@pytest.fixture
def copying(visitor):
    """A visitor who allows the page to read the clipboard."""
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield visitor
    visitor.context.clear_permissions()


def test_markup_is_shown_and_copied_as_the_text_that_it_is(copying, screenshot):
    visitor = copying
    visitor.say(MARKUP)
    assert visitor.messages()[0] == ("user", MARKUP)
    made = "#chatbot .message :is(b, strong, em, img, a, code, script, .katex)"
    assert visitor.page.locator(made).count() == 0
    screenshot(visitor, "markup")
    visitor.page.get_by_label("Copy message").first.click()
    visitor.until(lambda: visitor.page.evaluate("navigator.clipboard.readText()") == MARKUP)
    visitor.page.evaluate("navigator.clipboard.writeText('')")
    visitor.page.locator("#chatbot [data-testid=user]").evaluate(
        "each => getSelection().selectAllChildren(each)"
    )
    visitor.page.keyboard.press("Control+c")
    visitor.until(lambda: visitor.page.evaluate("navigator.clipboard.readText()").strip() == MARKUP)


def test_what_is_written_from_right_to_left_stands_so(visitor):
    begin, end = "\u05e9\u05dc\u05d5\u05dd", "!"
    visitor.say(f"{begin} {end}")
    places = visitor.page.locator("#chatbot [data-testid=user]").evaluate(
        """each => {
            const text = document.createTreeWalker(each, NodeFilter.SHOW_TEXT).nextNode();
            return [0, text.length - 1].map(at => {
                const range = new Range();
                range.setStart(text, at), range.setEnd(text, at + 1);
                return range.getBoundingClientRect().left;
            });
        }"""
    )
    assert places[1] < places[0]
    assert visitor.titles()[-1].startswith(begin)


def test_a_persona_is_chosen_changed_and_drawn(visitor):
    nurse = visitor.persona()
    visitor.say("Hello!")
    visitor.page.get_by_label("Persona", exact=True).click()
    visitor.page.get_by_role("option", name="A farmer").click()
    visitor.until(lambda: "I live on a farm." in visitor.persona())
    preset = visitor.page.get_by_label("Persona", exact=True)
    visitor.press("Surprise me")
    visitor.until(lambda: visitor.persona().count("\n") == 4)
    assert visitor.persona() != nurse
    visitor.until(lambda: preset.input_value() == "My own words")
    visitor.page.get_by_label("Who the bot is").fill("My name is Ferdinand.")
    visitor.say("What is your name?")
    assert len(visitor.messages()) == 4
    told = visitor.about()
    assert "Ferdinand" in told or "no sentence of the persona" in told
    visitor.page.get_by_label("Who the bot is").fill(nurse)
    visitor.until(lambda: preset.input_value() == "A nurse with two cats")


def test_the_decoding_controls_are_explained(visitor):
    visitor.page.get_by_text("How replies are drawn").click()
    for words in (
        "nonsense",
        "likeliest words that have this much",
        "0 is all",
        "In tokens",
        "the same reply",
    ):
        visitor.page.get_by_text(words).wait_for()


def test_the_summary_becomes_the_next_persona(visitor):
    visitor.page.get_by_text("Summary of this conversation").click()
    summary = visitor.page.locator("#summary textarea")
    visitor.press("Who said what about themselves")
    nothing = "Nobody has said anything about themselves yet."
    visitor.until(lambda: summary.get_attribute("placeholder") == nothing)
    assert summary.input_value() == ""
    visitor.say("Hi! I have a dog named Rex and I work as a baker in Leeds.")
    visitor.press("Who said what about themselves")
    visitor.until(lambda: "dog named Rex" in summary.input_value())
    visitor.press("who you said you are")
    visitor.until(lambda: visitor.messages() == [])
    visitor.until(lambda: "dog named Rex" in visitor.persona())
    was = visitor.persona()
    visitor.say("Hello!")
    summary.fill("GPT-2 said:\nI live in a <b>lighthouse</b>.")
    visitor.press("who it said it was")
    visitor.until(lambda: visitor.messages() == [])
    visitor.until(lambda: visitor.persona() == f"{was}\nI live in a <b>lighthouse</b>.")
    summary.fill("")
    visitor.press("who it said it was")
    visitor.page.get_by_text("The summary has nothing of that side.").wait_for()


@pytest.mark.slow
def test_what_is_said_and_liked_is_kept_only_by_consent(chromium, pocket, tmp_path):
    from chat.feedback import FeedbackLog

    folder = tmp_path / "feedback"
    with served(pocket, FeedbackLog(folder)) as address:
        visitor = Visitor(chromium, address)
        visitor.say("My secret is blue.")
        visitor.page.get_by_label("Like", exact=True).last.click()
        visitor.page.get_by_text("It was not kept").wait_for()
        assert not folder.exists()
        visitor.page.get_by_label("Keep my messages and the replies").check()
        reply = visitor.say("Keep this.")
        visitor.page.get_by_label("Dislike", exact=True).last.click()
        visitor.until(lambda: len(kept(folder)) == 2)
        visitor.page.get_by_label("Keep my messages and the replies").uncheck()
        visitor.say("My secret is green.")
        visitor.context.close()
    said, liked = kept(folder)
    assert (said["event"], said["message"], said["reply"]) == ("reply", "Keep this.", reply)
    assert (liked["event"], liked["reply"], liked["liked"]) == ("liked", reply, False)
    assert "secret" not in json.dumps([said, liked])


@pytest.mark.slow
def test_phone_and_dark(chromium, address, screenshot):
    phone = Visitor(chromium, address, is_mobile=True, has_touch=True)
    phone.page.set_viewport_size({"width": 375, "height": 667})
    phone.open()
    screenshot(phone, "phone-first")
    phone.say("Hi! How are you today?")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 375
    assert phone.page.evaluate("scrollY") == 0
    for seen in ("#about", "#chatbot", "#message", "#again"):
        box = phone.page.locator(seen).bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 667, seen
    screenshot(phone, "phone-light")
    phone.press("Light / dark")
    phone.until(lambda: brightness(phone) < 150)
    phone.open()
    phone.until(lambda: brightness(phone) < 150)
    screenshot(phone, "phone-dark")
    phone.say("Tell me more. " * 40)
    # Gradio scrolls to the end once more.
    phone.page.wait_for_timeout(500)
    phone.page.locator("#chatbot .bubble-wrap").evaluate("each => each.scrollTo(0, 0)")
    scroll_down = phone.page.locator("#chatbot .scroll-down-button-container button")
    phone.until(lambda: is_on_top(scroll_down))
    phone.open_side_bar()
    phone.until(lambda: not is_on_top(scroll_down))
    phone.press("New conversation")
    phone.until(lambda: phone.messages() == [])
    phone.until(lambda: not phone.page.locator(".sidebar.open").count())
    assert phone.say("Hi again!")
    phone.context.close()


@pytest.fixture
def on_a_phone(visitor):
    """A visitor before a small screen."""
    visitor.page.set_viewport_size({"width": 360, "height": 640})
    yield visitor
    visitor.page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize("letters", [16, 24, 32])
def test_large_letters_make_the_page_no_wider_than_a_phone(on_a_phone, letters):
    on_a_phone.page.add_style_tag(content=f"html {{ font-size: {letters}px !important; }}")
    width = "document.documentElement.scrollWidth"
    on_a_phone.until(lambda: on_a_phone.page.evaluate(width) == 360, seconds=5)
    first, second = (each.bounding_box() for each in on_a_phone.page.locator("#reply-buttons button").all())
    # Those of 24 depend on the machine's fonts.
    assert letters == 24 or (first["y"] == second["y"]) == (letters == 16)


def is_on_top(button) -> bool:
    """Whether a tap would reach it."""
    return button.evaluate(
        """each => {
            const { x, y, width, height } = each.getBoundingClientRect();
            return each.contains(document.elementFromPoint(x + width / 2, y + height / 2));
        }"""
    )


def brightness(visitor: Visitor) -> int:
    """Of the page's ground, 0 to 765."""
    colour = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, colour.partition("(")[2].rstrip(")").split(",")[:3]))


@pytest.fixture
def in_the_dark(visitor):
    """A visitor whose system is dark."""
    visitor.page.emulate_media(color_scheme="dark")
    visitor.open()
    yield visitor
    visitor.page.emulate_media(color_scheme="light")


def test_the_systems_dark_can_be_made_light(in_the_dark):
    in_the_dark.until(lambda: brightness(in_the_dark) < 150)
    in_the_dark.press("Light / dark")
    in_the_dark.until(lambda: brightness(in_the_dark) > 600)


@pytest.mark.slow
def test_pictures_of_a_conversation(visitor, screenshot):
    """`SCREENSHOTS=docs python -m pytest -k pictures` makes the README's docs/page.png, among others."""
    visitor.page.set_viewport_size({"width": 1200, "height": 800})
    visitor.set_decoding(Seed="3")
    visitor.page.get_by_text("How replies are drawn").click()
    for text in ("Hi! How are you today?", "Do you have any pets?", "What do you do for work?"):
        assert visitor.say(text)
    visitor.about()
    visitor.page.evaluate("scrollTo(0, 0)")
    screenshot(visitor, "page")
    visitor.press("Light / dark")
    visitor.until(lambda: brightness(visitor) < 150)
    visitor.page.wait_for_timeout(500)
    screenshot(visitor, "page-dark")
