"""What our scripts do by themselves, whatever clock and keyboard there are."""

import pytest

from tests.chat.page.conftest import load

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

# What Gradio draws, as far as our scripts look at it.
CHAT = """() => {
    document.body.innerHTML =
        `<div id="message"><textarea></textarea></div>
        <div id="chatbot"><div role="log" aria-live="polite"></div></div>
        <div class="head"><span data-testid="block-info">Top-k</span>
            <button class="reset-button" aria-label="Zur\\u00fccksetzen"></button></div>`;
    const log = document.querySelector("[role=log]");
    window.show = (...turns) => log.replaceChildren(...turns.map(([who, text]) => {
        const turn = Object.assign(document.createElement("div"), { textContent: text });
        turn.dataset.testid = who;
        turn.addEventListener("click", () => { window.chosen = text; });
        return turn;
    }));
    window.draw = (isDrawing) => document.querySelector("#message").querySelector("button")?.remove() ??
        (isDrawing && document.querySelector("#message").append(
            Object.assign(document.createElement("button"), { className: "stop-button" })));
    window.heard = [];
    gpt2chat.start();
    gpt2chat.arrived();
    new MutationObserver(() => heard.push(document.querySelector("#heard").textContent))
        .observe(document.querySelector("#heard"), { childList: true });
}"""


@pytest.fixture
def chat(script_page):
    """A page of our scripts in which `show` sets the messages, and `draw` whether a reply is drawn."""
    script_page.evaluate(CHAT)

    def does(script: str):
        # What follows a change follows it at once; what is said, a moment later.
        found = script_page.evaluate(script)
        script_page.wait_for_timeout(20)
        return found

    script_page.does = does
    return script_page


@pytest.mark.parametrize("key", ["Enter", " "])
def test_a_reply_is_chosen_by_the_keyboard(chat, key):
    chat.does("show(['user', 'Hi'], ['bot', 'Hello'], ['user', 'Why?'], ['bot', 'So'])")
    chat.does("document.querySelector('#message textarea').focus()")
    chat.keyboard.press("Tab")
    chat.keyboard.press(key)
    assert chat.evaluate("chosen") == "Hello"


def test_a_reply_is_heard_once_as_a_whole(chat):
    chat.does("show(['user', 'Hi'], ['bot', 'Hello'], ['user', 'Why?'])")
    chat.does("draw(true)")
    for text in ("Because", "Because I", "Because I <\u2060b>sing"):
        chat.does(f"show(['user', 'Hi'], ['bot', 'Hello'], ['user', 'Why?'], ['bot', '{text}'])")
        assert chat.evaluate("document.querySelector('[role=log]').ariaLive") == "off"
    chat.does("draw(false)")
    assert chat.evaluate("document.querySelector('[role=log]').ariaLive") == "polite"
    chat.wait_for_timeout(200)
    assert [text for text in chat.evaluate("heard") if text] == ["Because I <b>sing"]


def test_an_old_reply_that_comes_back_is_not_heard_again(chat):
    chat.does("show(['user', 'Hi'], ['bot', 'Hello'])")
    # As where an edit leaves nothing to be answered.
    chat.does("draw(true)")
    chat.does("draw(false)")
    chat.does("draw(true)")
    chat.does("show(['user', 'Hi'])")
    chat.does("draw(false)")
    chat.does("show(['user', 'Hi'], ['bot', 'Hello'])")
    chat.wait_for_timeout(200)
    assert chat.evaluate("heard") == []


def test_nor_is_one_before_a_message_that_goes_back_into_the_field(chat):
    chat.does("show(['user', 'Hi'], ['bot', 'Hello'], ['user', 'Why?'])")
    chat.does("draw(true)")
    chat.does("show(['user', 'Hi'], ['bot', 'Hello'])")
    chat.does("draw(false)")
    chat.wait_for_timeout(200)
    assert chat.evaluate("heard") == []


def test_what_is_said_again_is_heard_again(chat):
    for _ in range(2):
        chat.does("gpt2chat.say('So it is.')")
        chat.wait_for_timeout(200)
    assert chat.evaluate("heard") == ["So it is.", "", "So it is."]


def test_the_focus_of_a_button_that_goes_by_its_click_goes_to_the_field(chat):
    chat.does("document.querySelector('.reset-button').focus()")
    chat.does("document.querySelector('.reset-button').remove()")
    assert chat.evaluate("document.activeElement.matches('#message textarea')")


def test_the_reset_of_each_slider_has_its_name(chat):
    chat.does("show(['user', 'Hi'])")
    assert chat.evaluate("document.querySelector('.reset-button').ariaLabel") == "Zur\u00fccksetzen: Top-k"


def test_a_clock_that_is_put_back_delays_no_keeping(script_page):
    """As after a sleep: what is said meanwhile would be lost with the next reload."""
    script_page.evaluate("gpt2chat.arrived()")
    assert script_page.evaluate(IS_KEPT, 5000)
    script_page.evaluate(MOVE_CLOCK, -AN_HOUR)
    assert script_page.evaluate(IS_KEPT, 5000)


def test_a_clock_that_is_put_forward_brings_no_conversation(script_page):
    script_page.evaluate(MOVE_CLOCK, AN_HOUR)
    assert not script_page.evaluate(IS_KEPT, 300)


@pytest.mark.parametrize("composition", [{"isComposing": True}, {"keyCode": 229}, {"shiftKey": True}])
def test_the_enter_that_is_part_of_the_text_sends_nothing_once_the_page_is_there(script_page, composition):
    script_page.evaluate(FIELD)
    assert not script_page.evaluate(PRESS_ENTER, composition)
    script_page.evaluate("gpt2chat.arrived()")
    script_page.wait_for_timeout(200)
    assert script_page.evaluate("sent") == 0


def test_an_enter_is_sent_once_the_page_is_there(script_page):
    script_page.evaluate(FIELD)
    for number in (1, 2):
        # Impatiently.
        assert script_page.evaluate(PRESS_ENTER, {}) and script_page.evaluate(PRESS_ENTER, {})
        script_page.evaluate("gpt2chat.arrived()")
        script_page.wait_for_function("number => sent === number", arg=number)
        assert not script_page.evaluate(PRESS_ENTER, {})
        script_page.wait_for_timeout(100)
        assert script_page.evaluate("sent") == number
        script_page.evaluate("gpt2chat.leaving()")


def test_an_empty_message_is_never_sent(script_page):
    script_page.evaluate(FIELD)
    script_page.evaluate("gpt2chat.field().value = ' \\n'")
    assert script_page.evaluate(PRESS_ENTER, {})
    script_page.evaluate("gpt2chat.arrived()")
    assert script_page.evaluate(PRESS_ENTER, {})
    script_page.wait_for_timeout(100)
    assert script_page.evaluate("sent") == 0


# True if the page lets nobody have the click.
CLICK = """selector => !document.querySelector(selector).dispatchEvent(
    new MouseEvent("click", { bubbles: true, cancelable: true })
)"""


def test_what_is_clicked_on_the_way_to_another_conversation_is_not_done(chat):
    chat.does("show(['user', 'Hi'], ['bot', 'Hello'])")
    chat.does("document.body.append(Object.assign(document.createElement('button'), { id: 'again' }))")
    reply, again = "#chatbot [data-testid=bot]", "#again"
    assert not chat.evaluate(CLICK, reply) and not chat.evaluate(CLICK, again)
    # Nor is a reply drawn into another one.
    chat.does("draw(true)")
    assert not chat.evaluate(CLICK, reply) and chat.evaluate(CLICK, again)
    chat.does("draw(false)")
    chat.does("gpt2chat.leaving()")
    assert chat.evaluate(CLICK, reply) and chat.evaluate(CLICK, again)


def test_the_focus_stays_where_the_visitor_has_put_it_while_a_reply_was_drawn(chat):
    chat.does("gpt2chat.field().disabled = true")
    chat.does("document.querySelector('.reset-button').focus()")
    chat.does("gpt2chat.field().disabled = false")
    assert chat.evaluate("document.activeElement.matches('.reset-button')")


def test_a_reader_of_what_was_said_before_is_not_scrolled_away_by_each_word(chat):
    chat.does("() => { document.querySelector('[role=log]').scrollTo = () => { window.scrolls += 1; }; }")
    chat.does("window.scrolls = 0")
    for number in (1, 2):
        chat.does("draw(true)")
        for text in ("So", "So it", "So it is"):
            chat.does(f"show(['user', 'Hi'], ['bot', '{text}'])")
        chat.does("draw(false)")
        assert chat.evaluate("scrolls") == number


def test_a_draft_outlives_a_page_that_was_left_before_it_had_started(script_page):
    script_page.evaluate(FIELD)
    script_page.evaluate("gpt2chat.field().value = '', gpt2chat.tab.set('gpt2-chat-draft', 'A thought')")
    script_page.evaluate("window.dispatchEvent(new Event('pagehide'))")
    script_page.evaluate("gpt2chat.start()")
    assert script_page.evaluate("gpt2chat.field().value") == "A thought"
    script_page.evaluate("gpt2chat.field().value = 'Two', window.dispatchEvent(new Event('pagehide'))")
    assert script_page.evaluate("gpt2chat.tab.get('gpt2-chat-draft')") == "Two"


@pytest.mark.parametrize("system", ["dark", ""])
def test_light_or_dark_is_what_was_chosen_last(script_page, system):
    is_dark = "document.body.classList.contains('dark')"
    script_page.evaluate("system => { document.body.className = system; gpt2chat.start(); }", system)
    assert script_page.evaluate(is_dark) == bool(system)
    for _ in range(2):
        script_page.evaluate("gpt2chat.toggleDark()")
        chosen = script_page.evaluate(is_dark)
        # As after a reload.
        script_page.evaluate("system => { document.body.className = system; gpt2chat.start(); }", system)
        assert script_page.evaluate(is_dark) == chosen


@pytest.mark.parametrize(("kept", "comes_back"), [(None, True), ("Osaka", True), ("Nihon", False)])
def test_what_was_sent_and_is_not_kept_goes_back_into_the_field_of_a_page_that_is_loaded_anew(
    script_page, kept, comes_back
):
    script_page.evaluate(FIELD)
    script_page.evaluate("gpt2chat.arrived()")
    assert not script_page.evaluate(PRESS_ENTER, {})
    if kept:
        turns = [{"role": "user", "content": kept}, {"role": "assistant", "content": "Yes"}]
        conversation = {"id": "1", "persona": [], "turns": turns, "replies": {}}
        script_page.evaluate("kept => gpt2chat.settled().then(() => gpt2chat.keep(kept))", conversation)
    for was_given in (comes_back, False):
        load(script_page)
        script_page.evaluate(FIELD)
        shown = script_page.evaluate("document.querySelector('textarea').value = '', gpt2chat.latest()")
        assert (shown or {}).get("id") == ("1" if kept else None)
        assert script_page.evaluate("gpt2chat.field().value") == ("Nihon" if was_given else "")


def test_what_was_sent_in_a_conversation_that_was_left_stays_there(script_page):
    script_page.evaluate(FIELD)
    script_page.evaluate("gpt2chat.arrived()")
    assert not script_page.evaluate(PRESS_ENTER, {})
    script_page.evaluate("gpt2chat.left()")
    load(script_page)
    script_page.evaluate(FIELD)
    script_page.evaluate("document.querySelector('textarea').value = '', gpt2chat.latest()")
    assert script_page.evaluate("gpt2chat.field().value") == ""


def test_nothing_is_typed_into_the_field_till_the_server_has_emptied_it(chat):
    chat.does("document.querySelector('textarea').value = 'Nihon'")
    assert not chat.evaluate(PRESS_ENTER, {})
    assert chat.evaluate("gpt2chat.field().readOnly")
    chat.does("gpt2chat.field().disabled = true")
    assert not chat.evaluate("gpt2chat.field().readOnly")


def test_where_no_answer_comes_the_field_is_open_again(chat):
    chat.does("document.querySelector('textarea').value = 'Nihon'")
    chat.evaluate("window.later = [], window.setTimeout = (does) => later.push(does), 0")
    assert not chat.evaluate(PRESS_ENTER, {}) and chat.evaluate("gpt2chat.field().readOnly")
    chat.evaluate("later.forEach((does) => does())")
    assert not chat.evaluate("gpt2chat.field().readOnly")
