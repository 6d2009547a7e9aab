"""The guard on real words, and the variable that turns it off."""

import pytest

from chat.cli import UserError
from chat.content_guard import BLOCKED_REPLY, GUARD_VARIABLE, default_guard


@pytest.mark.parametrize(
    "text", ["What the fuck?", "sh1t happens", "You BITCH.", "f*ck off", "such an a$$hole", "b1tch", "d1ck"]
)
def test_swear_words_are_blocked_however_they_are_spelt(text):
    assert default_guard().blocks(text)


@pytest.mark.parametrize(
    "hidden",
    [
        *"\ufe00\ufe0f\U000e0100\U000e01ef\U000e0020\U000e007f\u202a\u202e\u2066",
        *"\x00\x07\x1c\x7f\x9f\u00ad\u200b\u200d\ufeff",
    ],
)
def test_what_nobody_sees_hides_no_word(hidden):
    assert default_guard().blocks(f"You f{hidden}u{hidden}{hidden}ck!")
    assert not default_guard().blocks(f"You {hidden}and me, d{hidden}ear.")


@pytest.mark.parametrize("text", ["fuck_you", "you_fucker", "_fuck_", "f_ck", "f_u_c_k"])
def test_an_underscore_stands_between_words_or_for_a_letter(text):
    assert default_guard().blocks(text)


def test_lines_end_words():
    for text in ("The class\nasked.", "as\ns", "fu\r\nck", "my_pass_word"):
        assert not default_guard().blocks(text)
    assert default_guard().blocks("Hello\nfuck\nyou")


def streamed(engine, text, monkeypatch) -> list[str]:
    """What is shown of a reply that the model draws token by token."""
    ids = engine.tokenizer(text, add_special_tokens=False)["input_ids"] + [engine.tokenizer.eos_token_id]
    monkeypatch.setattr(engine, "draw", lambda *arguments: iter([[each] for each in ids]))
    return [*engine.stream([{"role": "user", "content": "Hi!"}])]


@pytest.mark.parametrize("word", ["fu\ufe0fck", "fu\x00ck", "fu\U000e0041ck", "fuck_you", "so\nfuck"])
def test_nothing_is_shown_of_a_word_that_hides(engine, monkeypatch, word):
    *shown, last = streamed(engine, f"What do you say, {word} there?", monkeypatch)
    assert last == BLOCKED_REPLY and shown[-1] == "What do you say,"
    assert not any("fu" in each for each in shown)


def test_what_is_shown_stays_as_it_is(engine, monkeypatch):
    said = "I \u2764\ufe0f my_cats and \U0001f468\u200d\U0001f469."
    assert streamed(engine, said, monkeypatch)[-1] == said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I live in Scunthorpe and teach the classics.",
        "My cat is a great assassin of mice.",
        "Cockpit, Dickens, Essex and a cockatoo.",
        "I passed my grass-cutting class.",
        "\u6f22\u5b57 \U0001f600",
    ],
)
def test_innocent_words_pass(text):
    assert not default_guard().blocks(text)


def test_the_variable_turns_it_off_and_refuses_what_it_does_not_know(monkeypatch):
    monkeypatch.setenv(GUARD_VARIABLE, " OFF ")
    assert default_guard() is None
    monkeypatch.setenv(GUARD_VARIABLE, " ")
    assert default_guard()
    monkeypatch.setenv(GUARD_VARIABLE, "perhaps")
    with pytest.raises(UserError, match="CONTENT_GUARD perhaps: give on or off"):
        default_guard()
