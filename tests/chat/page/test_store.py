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
    for number in range(12):
        found = keep(conversation(number, "Hi", *["x" * 2000] * 400))
    assert found[0] == ["Hi", "11"] and 2 <= len(found) < 12


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
