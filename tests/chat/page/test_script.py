"""What `page.js` does by itself, whatever clock and keyboard there are."""

import pytest

AN_HOUR = 3_600_000
MOVE_CLOCK = "milliseconds => { const clock = Date.now; Date.now = () => clock() + milliseconds; }"
# True if it is time to keep what has changed before `milliseconds` are over.
IS_KEPT = """milliseconds => Promise.race([
    gpt2chat.settled().then(Boolean),
    new Promise((done) => setTimeout(done, milliseconds, false)),
])"""
FIELD = """() => {
    document.body.innerHTML =
        '<div id="message"><textarea>Nihon</textarea><button class="submit-button"></button></div>';
    window.sent = 0;
    document.querySelector("button").addEventListener("click", () => { window.sent += 1; });
}"""
# True if the page takes the key for the end of a message.
PRESS_ENTER = """composition => !document.querySelector("textarea").dispatchEvent(
    new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...composition })
)"""


def test_a_clock_that_is_put_back_delays_no_keeping(script_page):
    """As after a sleep: what is said meanwhile would be lost with the next reload."""
    script_page.evaluate("gpt2chat.arrived()")
    assert script_page.evaluate(IS_KEPT, 5000)
    script_page.evaluate(MOVE_CLOCK, -AN_HOUR)
    assert script_page.evaluate(IS_KEPT, 5000)


def test_a_clock_that_is_put_forward_brings_no_conversation(script_page):
    script_page.evaluate(MOVE_CLOCK, AN_HOUR)
    assert not script_page.evaluate(IS_KEPT, 300)


@pytest.mark.parametrize("composition", [{"isComposing": True}, {"keyCode": 229}])
def test_the_enter_that_ends_a_composition_sends_nothing_once_the_page_is_there(script_page, composition):
    script_page.evaluate(FIELD)
    assert not script_page.evaluate(PRESS_ENTER, composition)
    script_page.evaluate("gpt2chat.arrived()")
    script_page.wait_for_timeout(200)
    assert script_page.evaluate("sent") == 0


def test_an_enter_is_sent_once_the_page_is_there(script_page):
    script_page.evaluate(FIELD)
    assert script_page.evaluate(PRESS_ENTER, {})
    script_page.evaluate("gpt2chat.arrived()")
    script_page.wait_for_function("sent === 1")
