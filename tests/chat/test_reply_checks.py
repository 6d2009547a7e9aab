"""Which replies are unusable."""

import pytest

from chat.reply_checks import (
    ReplyChecks,
    echoes,
    is_empty,
    is_lone_letter,
    is_looping,
    is_repetitive,
    is_sound,
    was_said,
    whole_sentences,
)


@pytest.mark.parametrize("text", ["", "  ", "...", "?!", "\n"])
def test_no_letter_or_digit_is_empty(text):
    assert is_empty(text)


@pytest.mark.parametrize("text", ["I", "7", "Ünder", "是"])
def test_a_letter_or_digit_is_not_empty(text):
    assert not is_empty(text)


@pytest.mark.parametrize(
    ("text", "says_too_little"),
    [("I", True), ("a.", True), ("7", False), ("\u662f\u3002", False), ("OK", False)],
)
def test_one_latin_letter_is_no_reply_but_one_chinese_character_is(text, says_too_little):
    assert is_lone_letter(text) == says_too_little != is_sound(text)


@pytest.mark.parametrize(
    "text",
    [
        "no no no no no",
        "I am a nurse. I am a nurse. I am a nurse.",
        "Yes, and I like to eat and I like to eat and I like to eat",
        "a" * 20,
        "one two three four five six seven eight " * 3,
    ],
)
def test_loops(text):
    assert is_looping(text)


@pytest.mark.parametrize(
    "text",
    [
        "No, no, no!",
        "Ha ha ha ha.",
        "I like cats, I like dogs, and I like birds.",
        "Bye bye! Bye bye!",
        "Hmmmm...",
        "a" * 19,
    ],
)
def test_emphasis_is_no_loop(text):
    assert not is_looping(text)


@pytest.mark.parametrize(
    "text",
    [
        "I love pizza, I love pizza.",
        "I love the colour blue, but I love the sea.",
        "no " * 6,
        "I like math and Math.",
        "I am married and married.",
    ],
)
def test_three_words_again_are_repetitive(text):
    assert is_repetitive(text) and not is_sound(text)


@pytest.mark.parametrize(
    "text", ["I like cats, I like dogs, and I like birds.", "Bye bye! Bye bye!", "No, no, no!", "Hi."]
)
def test_one_or_two_words_again_are_speech(text):
    assert not is_repetitive(text) and is_sound(text)


def test_only_a_whole_reply_of_some_length_was_said_before():
    earlier = ["I am a nurse, I said.", "I do."]
    assert was_said("i am a nurse. I said!", earlier)
    assert not was_said("I do.", earlier) and not was_said("I am a nurse.", earlier)
    assert not was_said("I am a nurse. I said!", [])
    assert was_said("I'm going to London.", ["I am going to London!"])
    assert was_said("I do not like cats.", ["I don\u2019t like cats."])
    assert was_said("I HAVE TWO CATS.", ["I'VE TWO CATS"]) and not was_said("I have cats.", ["I have cats."])


def test_four_words_in_a_row_are_an_echo():
    assert echoes("Well, I have two cats.", ["Hi!", "I have two cats and a dog."])
    assert not echoes("I have two dogs.", ["Hi!", "I have two cats and a dog."])
    assert not echoes("I have two cats.", [])


def test_a_reply_says_neither_what_the_assistant_said_nor_what_it_was_just_told():
    messages = [
        {"role": "system", "content": "I work as a nurse."},
        {"role": "user", "content": "Do you have any pets?"},
        {"role": "assistant", "content": "Yes, I have two cats."},
        {"role": "user", "content": "Do you like your cats?"},
    ]
    checks = ReplyChecks.of(messages)
    assert checks == ReplyChecks(("Yes, I have two cats.",), ("Do you like your cats?",))
    assert ReplyChecks.of(messages[:3]).message == ()
    unusable = ("Yes! I have two cats!", "Do you like your cats?", "...", "no no no no no")
    assert not any(map(checks.is_usable, unusable))
    assert all(map(checks.is_usable, ("Do you have any pets?", "I work as a nurse.", "I love them.")))
    assert checks.is_echo("Of course I have two cats.") and not checks.is_echo("Do you like your cats?")


@pytest.mark.parametrize(
    "text", ["It gets more and more cold.", "I watch it over and over.", "You and you too."]
)
def test_some_words_come_again_in_good_english(text):
    assert is_sound(text)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("Yes. I do! And then", "Yes. I do!"),
        ("No end", "No end"),
        ('He said "no." and', 'He said "no."'),
        ("", ""),
    ],
)
def test_whole_sentences(text, whole):
    assert whole_sentences(text) == whole
