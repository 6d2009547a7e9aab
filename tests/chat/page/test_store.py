"""The browser's store of conversations: ordered, bounded, and usable whatever stands in it."""

import pytest

KEY = "gpt2-chat-conversations"


def conversation(number: int, *texts: str) -> dict:
    turns = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]
    return {"id": str(number), "persona": ["I sing."], "turns": turns, "replies": {}}


@pytest.fixture
def keep(script_page):
    """Keeps a conversation; what is in the list then."""

    def function(kept: dict | None) -> list:
        return script_page.evaluate("kept => gpt2chat.keep(kept)", kept)["choices"]

    return function


def test_what_changes_comes_first_and_what_is_only_opened_stays(keep):
    keep(conversation(1, "Hi", "Hello"))
    assert keep(conversation(2, "Bye", "Oh")) == [["Bye", "2"], ["Hi", "1"]]
    assert keep(conversation(1, "Hi", "Hello")) == [["Bye", "2"], ["Hi", "1"]]
    assert keep(conversation(1, "Hi", "Hello", "Well?", "Yes")) == [["Hi", "1"], ["Bye", "2"]]


def test_one_without_a_word_is_not_kept(keep):
    assert keep(None) == [] and keep(conversation(2)) == []
    assert keep(conversation(1, "Hi", "Hello")) == [["Hi", "1"]]
    assert keep(conversation(1)) == []


def test_there_are_only_so_many(keep):
    for number in range(35):
        found = keep(conversation(number, "Hi", "Hello"))
    assert [each for _, each in found] == [str(number) for number in range(34, 4, -1)]


def test_where_the_browser_has_no_more_room_the_oldest_go(keep):
    for number in range(6):
        found = keep(conversation(number, "Hi", *["x" * 4000] * 400))
    assert found[0] == ["Hi", "5"] and 2 <= len(found) < 6


@pytest.mark.parametrize("stored", ["nonsense", "5", "null", '{"id": "1"}', '[null, 5, {"id": 1}]'])
def test_what_is_no_store_is_an_empty_one(script_page, keep, stored):
    script_page.evaluate("([key, text]) => localStorage.setItem(key, text)", [KEY, stored])
    assert keep(None) == []
    assert keep(conversation(1, "Hi", "Hello")) == [["Hi", "1"]]


@pytest.mark.parametrize("turns", [[None], [{"role": "user", "content": ["Hi"]}], [{}]])
def test_one_that_cannot_be_read_leaves_the_others_in_the_list(script_page, keep, turns):
    keep(conversation(1, "Hi", "Hello"))
    script_page.evaluate(
        """([key, turns]) => {
            const other = { id: "2", persona: [], turns, replies: {} };
            localStorage.setItem(key, JSON.stringify([other, ...JSON.parse(localStorage.getItem(key))]));
        }""",
        [KEY, turns],
    )
    assert keep(None)[1] == ["Hi", "1"]


def test_where_the_browser_has_no_room_at_all_the_page_keeps_them(script_page, keep):
    script_page.evaluate(
        """() => {
            const fill = (key, text) => localStorage.setItem(key, (localStorage.getItem(key) ?? "") + text);
            for (let size = 2 ** 22; size >= 1; size /= 2) {
                try { while (true) fill(`full-${size}`, "x".repeat(size)); } catch {}
            }
        }"""
    )
    assert keep(conversation(1, "Hi", "Hello")) == [["Hi", "1"]]
    assert keep(conversation(2, "Bye", "Oh")) == [["Bye", "2"], ["Hi", "1"]]
    script_page.evaluate("localStorage.clear()")
    assert keep(conversation(3, "Well", "Yes")) == [["Well", "3"], ["Bye", "2"], ["Hi", "1"]]
    assert "Bye" in script_page.evaluate("key => localStorage.getItem(key)", KEY)


def test_the_title_is_what_was_first_said(keep):
    [[title, _]] = keep(conversation(1, "Hi\n <b>there</b>"))
    assert title == "Hi <b>there</b>"
    [[title, _]] = keep(conversation(1, "word " * 30))
    assert title == "word word word word word word word word..."


@pytest.mark.parametrize("late", [{"id": "2"}, {"id": "9", "continues": True}])
def test_what_comes_when_its_conversation_was_left_is_kept_and_moves_nobody(script_page, keep, late):
    """The tab is in the one that was opened since; that stays as it is."""
    keep(conversation(1, "Hi", "Hello"))
    keep(conversation(2, "Bye", "Oh"))
    script_page.evaluate("gpt2chat.opened('1')")
    found = keep(conversation(2, "Bye", "Oh", "Well", "Yes") | late)
    assert ["Hi", "1"] in found and ["Bye", late["id"]] in found
    assert script_page.evaluate("gpt2chat.keep(null).value") == "1"
    assert script_page.evaluate("gpt2chat.opened('1')")["turns"][-1]["content"] == "Hello"


# As another tab of the same browser does.
WRITE = """([key, kept]) => {
    const all = JSON.parse(localStorage.getItem(key) ?? "[]").filter((each) => each.id !== kept.id);
    localStorage.setItem(key, JSON.stringify([kept, ...all]));
}"""


# To another conversation, and there.
GO = """async id => {
    await (id ? gpt2chat.opened(id) : gpt2chat.left());
    gpt2chat.arrived();
    await gpt2chat.settled();
}"""


@pytest.fixture
def stored(script_page):
    """A function: the conversations that the browser keeps, by their ids."""

    def function() -> dict[str, dict]:
        return {
            each["id"]: each for each in script_page.evaluate("key => JSON.parse(localStorage[key])", KEY)
        }

    return function


@pytest.mark.parametrize("comes", ["by itself", "from the list"])
def test_what_two_tabs_say_in_one_conversation_becomes_two(script_page, keep, stored, comes):
    begun, theirs = conversation(1, "Hi", "Hello"), conversation(1, "Hi", "Hello", "There?", "Yes")
    if comes == "by itself":
        keep(begun)
    else:
        script_page.evaluate(WRITE, [KEY, begun])
        script_page.evaluate(GO, "1")
    script_page.evaluate(WRITE, [KEY, theirs])
    # This tab has nothing new.
    assert keep(begun) == [["Hi", "1"]] and stored() == {"1": theirs}
    for own in (["Here?", "No"], ["Here?", "No", "Well", "So"]):
        [[_, identity], other] = keep(conversation(1, "Hi", "Hello", *own))
        assert other == ["Hi", "1"] and stored()["1"] == theirs
        assert [turn["content"] for turn in stored()[identity]["turns"][2:]] == own
        assert script_page.evaluate("gpt2chat.keep(null).value") == identity
    # Who opens theirs goes on with that one.
    script_page.evaluate(GO, "1")
    assert keep(conversation(1, "Hi", "Hello", "There?", "Yes", "Where?", "There."))[0] == ["Hi", "1"]
    assert {name: len(each["turns"]) for name, each in stored().items()} == {"1": 6, identity: 6}


def test_what_another_tab_puts_back_becomes_no_other_conversation(script_page, keep):
    """It had read the store before this tab has kept more, and writes a conversation of its own."""
    begun = conversation(1, "Hi", "Hello", "Why?", "Be")
    keep(begun)
    for text in ("Because", 'Because "so"', 'Because "so" it is'):
        script_page.evaluate(WRITE, [KEY, begun])
        script_page.evaluate(WRITE, [KEY, conversation(2, "Bye", "Oh")])
        assert keep(conversation(1, "Hi", "Hello", "Why?", text)) == [["Hi", "1"], ["Bye", "2"]]


def test_a_reply_that_is_put_back_where_another_was_drawn_becomes_no_other_conversation(script_page, keep):
    for turns in (["Hi", "Old"], ["Hi"], ["Hi", "New"], ["Hi", "New", "Why?"]):
        assert keep(conversation(1, *turns)) == [["Hi", "1"]]
        script_page.evaluate(WRITE, [KEY, conversation(1, "Hi", "Old")])


LATER = "window.later = [], window.setTimeout = (does, _, given) => later.push([does, given]), 0"


@pytest.mark.parametrize(
    ("theirs", "remains"),
    [(["Hi"], ["Hi", "Hello"]), (["Hi", "Old"], ["Hi", "Hello"]), (["Hi", "Bye"], ["Hi", "Bye"])],
)
def test_what_another_tab_puts_back_is_kept_again(script_page, keep, stored, theirs, remains):
    """Not over what it has said itself."""
    script_page.evaluate(LATER)
    keep(conversation(1, "Hi", "Old"))
    keep(conversation(1, "Hi", "Hello"))
    script_page.evaluate(WRITE, [KEY, conversation(1, *theirs)])
    script_page.evaluate("later.forEach(([does, given]) => does(given))")
    assert [turn["content"] for turn in stored()["1"]["turns"]] == remains


def test_one_that_the_server_had_forgotten_goes_on_in_its_place(keep, stored):
    keep(conversation(1, "Hi", "Hello") | {"replies": {"1": "first"}})
    new = {"continues": True, "replies": {"3": "second"}}
    assert keep(conversation(9, "Hi", "Hello", "And?", "So") | new) == [["Hi", "1"]]
    new["replies"] = {"3": "another second", "5": "third"}
    assert keep(conversation(9, "Hi", "Hello", "And?", "Oh", "Why?", "Well") | new) == [["Hi", "1"]]
    assert stored()["1"]["replies"] == {"1": "first"} | new["replies"] and "continues" not in stored()["1"]


def test_what_is_no_conversation_is_left_out_of_the_list(script_page, keep):
    for other in ({"id": 2, "turns": []}, {"id": "3"}, {"id": "4", "turns": "Hi"}):
        script_page.evaluate(WRITE, [KEY, other])
    assert keep(None) == []
    assert keep(conversation(1, "Hi", "Hello")) == [["Hi", "1"]]


def test_where_the_browser_allows_no_storage_the_page_keeps_them(script_page, keep):
    script_page.evaluate(
        """() => {
            const refuse = () => { throw new DOMException("Not here.", "SecurityError"); };
            window.allowed = [Storage.prototype.getItem, Storage.prototype.setItem];
            Storage.prototype.getItem = Storage.prototype.setItem = refuse;
        }"""
    )
    try:
        assert keep(conversation(1, "Hi", "Hello")) == [["Hi", "1"]]
        assert keep(conversation(2, "Bye", "Oh")) == [["Bye", "2"], ["Hi", "1"]]
        assert script_page.evaluate("gpt2chat.keep(null).value") == "2"
    finally:
        script_page.evaluate("[Storage.prototype.getItem, Storage.prototype.setItem] = allowed")


@pytest.mark.parametrize("agrees", [True, False])
def test_one_is_deleted_only_by_consent(script_page, keep, agrees):
    keep(conversation(1, "Hi", "Hello"))
    keep(conversation(2, "Bye", "Oh"))
    script_page.evaluate("agrees => { window.confirm = () => agrees; }", agrees)
    # What stays is told by its id: the page would be emptied otherwise.
    assert script_page.evaluate("gpt2chat.removed()") == (None if agrees else {"id": "2"})
    assert keep(None) == [["Hi", "1"]] if agrees else [["Bye", "2"], ["Hi", "1"]]
    assert script_page.evaluate("gpt2chat.keep(null).value") == (None if agrees else "2")


def test_what_another_tab_has_deleted_is_chosen_no_longer(script_page, keep):
    keep(conversation(1, "Hi", "Hello"))
    script_page.evaluate("localStorage.clear()")
    assert script_page.evaluate("gpt2chat.keep(null).value") is None


def test_the_one_that_is_begun_after_another_was_left_is_the_tab_s(script_page, keep):
    keep(conversation(1, "Hi", "Hello"))
    script_page.evaluate(GO, None)
    assert script_page.evaluate("gpt2chat.keep(null).value") is None
    keep(conversation(2, "Bye", "Oh"))
    assert script_page.evaluate("gpt2chat.keep(null).value") == "2"


def test_a_reload_shows_the_tab_s_conversation_and_a_new_tab_the_latest(script_page, keep):
    keep(conversation(1, "Hi", "Hello"))
    keep(conversation(2, "Bye", "Oh"))
    script_page.evaluate("document.body.innerHTML = '<div id=message><textarea></textarea></div>'")
    script_page.evaluate("gpt2chat.opened('1')")
    assert script_page.evaluate("gpt2chat.latest()")["id"] == "1"
    assert script_page.evaluate("gpt2chat.field().value") == ""
    script_page.evaluate("sessionStorage.clear()")
    assert script_page.evaluate("gpt2chat.latest()")["id"] == "2"
    assert script_page.evaluate("gpt2chat.keep(null).value") == "2"


@pytest.mark.parametrize("draft", ["", "A thought"])
def test_a_message_whose_reply_never_came_goes_back_into_an_empty_field(script_page, keep, draft):
    keep(conversation(1, "Hi", "Hello", "Why?"))
    script_page.evaluate("document.body.innerHTML = '<div id=message><textarea></textarea></div>'")
    script_page.evaluate("draft => { gpt2chat.field().value = draft; window.told = 0; }", draft)
    script_page.evaluate("gpt2chat.field().addEventListener('input', () => { told += 1; })")
    assert len(script_page.evaluate("gpt2chat.latest()")["turns"]) == (3 if draft else 2)
    assert script_page.evaluate("gpt2chat.field().value") == (draft or "Why?")
    # Gradio knows of it.
    assert script_page.evaluate("told") == (0 if draft else 1)


def test_leaving_stops_the_reply_and_waits_until_it_could_be_kept(script_page):
    script_page.evaluate(
        """() => {
            document.body.innerHTML = "<div id=message><button class=stop-button></button></div>";
            const button = gpt2chat.stopButton();
            button.addEventListener("click", () => setTimeout(() => button.remove(), 60));
        }"""
    )
    ended, milliseconds = script_page.evaluate(
        """async () => {
            const begun = performance.now();
            await gpt2chat.left();
            return [!gpt2chat.stopButton(), performance.now() - begun];
        }"""
    )
    assert ended and milliseconds >= 300


def test_a_visitor_who_picks_no_file_leaves_nothing_waiting(script_page):
    found = script_page.evaluate(
        """() => {
            const picked = gpt2chat.picked("too large");
            document.querySelector("[type=file]").dispatchEvent(new Event("cancel"));
            return Promise.race([picked, new Promise((done) => setTimeout(done, 1000, "waits"))]);
        }"""
    )
    assert found is None
