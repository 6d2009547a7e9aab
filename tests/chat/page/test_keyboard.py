"""The page in a real browser, for those who use no mouse or do not see it."""

import pytest

from tests.chat.page.conftest import Visitor


def test_one_goes_on_typing_after_each_reply(visitor):
    visitor.page.keyboard.type("Hello!")
    visitor.page.keyboard.press("Enter")
    visitor.reply_after(1)
    visitor.until(lambda: visitor.page.evaluate("document.activeElement.matches('#message textarea')"))
    visitor.page.keyboard.type("Do you have any pets?")
    visitor.page.keyboard.press("Enter")
    visitor.reply_after(3)
    assert visitor.messages()[2] == ("user", "Do you have any pets?")


def test_the_field_the_buttons_and_who_speaks_have_names(visitor):
    visitor.page.get_by_role("textbox", name="Your message").fill("Hello!")
    visitor.page.get_by_role("button", name="Send").click()
    reply = visitor.reply_after(1)
    assert visitor.page.get_by_role("group", name="You", exact=True).inner_text().strip() == "Hello!"
    assert visitor.page.get_by_role("group", name="GPT-2", exact=True).inner_text().strip() == reply
    visitor.press("Edit")
    field = visitor.page.get_by_role("textbox", name="Your message, edited")
    assert field.input_value() == "Hello!"


def test_an_edit_ends_by_the_keyboard(visitor):
    visitor.say("Hello!")
    before = visitor.messages()
    field = visitor.page.get_by_role("textbox", name="Your message, edited")
    visitor.press("Edit")
    field.press("End")
    visitor.page.keyboard.type(" Goodbye!")
    visitor.page.keyboard.press("Escape")
    visitor.until(lambda: field.count() == 0)
    assert visitor.messages() == before
    visitor.press("Edit")
    field.press("End")
    visitor.page.keyboard.type(" You")
    visitor.page.keyboard.press("Shift+Enter")
    visitor.page.keyboard.type("there!")
    visitor.page.keyboard.press("Enter")
    visitor.until(lambda: visitor.messages()[:1] == [("user", "Hello! You\nthere!")])
    visitor.reply_after(1)
    visitor.until(lambda: visitor.page.evaluate("document.activeElement.matches('#message textarea')"))


def test_the_closed_side_bar_is_passed_over(visitor):
    toggle = visitor.page.get_by_label("Conversations", exact=True).first

    def after_toggle() -> str:
        toggle.focus()
        visitor.page.keyboard.press("Tab")
        return visitor.page.evaluate("document.activeElement.innerText")

    assert after_toggle() != "New conversation"
    visitor.open_side_bar()
    visitor.until(lambda: after_toggle() == "New conversation")


def test_what_opens_and_closes_tells_whether_it_is_open(visitor):
    for name in ("How replies are drawn", "Conversations"):
        for is_open in (False, True, False):
            button = visitor.page.get_by_role("button", name=name, expanded=is_open)
            button.wait_for()
            button.click()


def test_a_reply_and_what_is_told_of_an_earlier_one_are_heard(visitor):
    visitor.listen()
    first = visitor.say("Hi!")
    visitor.until(lambda: visitor.heard().count(first) == 1)
    visitor.say("What do you do for work?")
    visitor.page.locator("#chatbot [data-testid=bot]").first.focus()
    visitor.page.keyboard.press("Enter")
    about = visitor.page.get_by_label("About a reply")
    visitor.until(lambda: about.count() and about.input_value().startswith(f'"{first}"'))
    visitor.until(lambda: about.input_value() in visitor.heard())
    visitor.until(lambda: "Complete" in visitor.heard())
    assert not any("common." in text for text in visitor.heard())


# Of the fields that the keyboard goes to.
FIELDS = ("textarea", "[type=number]", "[role=combobox]", "[type=range]", "[type=radio]")


def test_every_field_that_has_the_focus_shows_it(visitor):
    visitor.say("Hello!")
    visitor.page.get_by_text("How replies are drawn").click()
    visitor.open_side_bar()
    for selector in (*FIELDS, "[data-testid=bot]"):
        field = visitor.page.locator(f"{selector} >> visible=true").first
        visitor.page.keyboard.press("Shift")
        field.focus()
        style = field.evaluate(
            "each => [getComputedStyle(each).outlineStyle, getComputedStyle(each).outlineWidth]"
        )
        assert style == ["solid", "2px"], selector

    def the_title_shows_it() -> bool:
        # Again, as the list may have been drawn anew since.
        visitor.page.locator("#conversations input").focus()
        label = visitor.page.locator("#conversations label")
        return label.evaluate("each => getComputedStyle(each).outlineWidth") == "2px"

    visitor.until(the_title_shows_it)


@pytest.fixture
def forced_colours(visitor):
    """A visitor whose system draws all pages in a few colours of its own."""
    visitor.page.emulate_media(forced_colors="active")
    yield visitor
    visitor.page.emulate_media(forced_colors="none")


@pytest.mark.slow
def test_what_is_chosen_can_be_seen_in_forced_colours(forced_colours):
    visitor = forced_colours
    visitor.say("Hello!")
    visitor.open_side_bar()
    radio = visitor.page.locator("#conversations input")
    radio.evaluate("each => each.blur()")
    chosen = radio.screenshot()
    radio.evaluate("each => { each.checked = false; }")
    assert radio.screenshot() != chosen
    visitor.page.get_by_text("How replies are drawn").click()
    slider = visitor.page.get_by_label("range slider for Top-k")
    before = slider.screenshot()
    slider.evaluate("each => { each.value = 150; }")
    assert slider.screenshot() != before


@pytest.mark.slow
def test_no_other_reply_can_be_asked_for_while_one_is_drawn(chromium, slow_address):
    """In German: Gradio's buttons have other names there."""
    visitor = Visitor(chromium, slow_address, locale="de-DE")
    visitor.set_decoding(Longest_reply="3")
    visitor.say("Hello")
    visitor.set_decoding(Longest_reply="60")
    visitor.press("Bearbeiten")
    visitor.page.locator("#chatbot textarea").fill("Goodbye")
    visitor.type("Tell me more")
    visitor.page.get_by_role("button", name="Stop").wait_for()
    visitor.press("Senden")
    visitor.page.locator("#again").focus()
    visitor.page.keyboard.press("Enter")
    visitor.until(visitor.is_idle)
    visitor.press("Abbrechen")
    visitor.reply_after(3)
    assert [who for who, _ in visitor.messages()] == ["user", "bot", "user", "bot"]
    assert visitor.messages()[2] == ("user", "Tell me more")
    visitor.context.close()
