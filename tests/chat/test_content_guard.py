"""The guard on real words, and the variable that turns it off."""

import pytest

from chat.cli import UserError
from chat.content_guard import GUARD_VARIABLE, default_guard


@pytest.mark.parametrize(
    "text", ["What the fuck?", "sh1t happens", "You BITCH.", "f*ck off", "such an a$$hole"]
)
def test_swear_words_are_blocked_however_they_are_spelt(text):
    assert default_guard().blocks(text)


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
