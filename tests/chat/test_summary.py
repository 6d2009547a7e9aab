"""What counts as said about oneself, and the summary of a session."""

import time
import timeit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.content_guard import BLOCKED_REPLY
from chat.dialogue import ASSISTANT, USER
from chat.engine import FALLBACK_REPLY
from chat.self_statements import self_statements
from chat.session import (
    MAX_MESSAGE_CHARACTERS,
    MAX_PERSONA_SENTENCE_CHARACTERS,
    MAX_TURNS,
    message_from,
)
from chat.summary import Summary, summarise

WHOLE = [
    "I have two cats.",
    "My brother is a doctor.",
    "I'm from Ohio",
    "I\u2019m from Ohio.",
    "We live in a van",
    "i have two cats and i live in ohio",
    "im a nurse",
    "I don't eat meat.",
    "I know how to cook.",
    "I think I am a good swimmer.",
    "When I was young, I lived in France.",
    "If I could, I would travel to France.",
    "I work 9 a.m. to 5 p.m. at St. Mary's.",
    "I like İstanbul",
]
PART = [
    ("Hi, I'm from Ohio.", "I'm from Ohio."),
    ("Yeah my daughters love the movie.", "my daughters love the movie."),
    ("I am a nurse, what do you do?", "I am a nurse"),
    ("i am a nurse what about you", "i am a nurse"),
    ("I see, I have two cats.", "I have two cats."),
    ("You are nice, and I like İstanbul.", "I like İstanbul."),
    ("I have two cats, thank you!", "I have two cats"),
]
NOTHING = [
    "You are nice.",
    "I see.",
    "I don't know.",
    "I think so too.",
    "I love it!",
    "I like your name.",
    "I am fine, thanks, how are you?",
    "I'm sorry to hear that.",
    "I bet that is expensive.",
    "I hope you have a dog.",
    "Nice to meet you, too!",
    "Do I have a dog?",
    "do you think i have a dog",
    "could i have a dog",
    "I have a dog?",
    "I'm sorry for my dog.",
    "Tell me about the dog.",
    "The dog is big.",
    "我有两只猫。",
    "...",
    "",
]


def said(*texts: str, role: str = USER) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for text in texts]


@pytest.mark.parametrize("sentence", WHOLE)
def test_statements_about_oneself(sentence):
    assert list(self_statements(sentence, 200)) == [sentence]


@pytest.mark.parametrize(("sentence", "stated"), PART)
def test_only_the_part_about_oneself(sentence, stated):
    assert list(self_statements(sentence, 200)) == [stated]


@pytest.mark.parametrize("sentence", NOTHING)
def test_no_statements_about_oneself(sentence):
    assert list(self_statements(sentence, 200)) == []


def test_what_is_too_long_comes_in_parts():
    sentence = "i have two cats and i live in ohio, so i drive a truck " + "far " * 20
    assert list(self_statements(sentence, 40)) == ["i have two cats", "i live in ohio"]


def test_who_said_what_in_the_order_in_which_it_was_said():
    summary = summarise(
        [
            *said("Hi! I work for Dr. Smith in St. Louis. Do you like cats?"),
            *said("I see. My sister is a vet.\nI drive a truck", role=ASSISTANT),
            *said("You are nice. i have 3.5 acres"),
            *said("", "I love it.", role=ASSISTANT),
        ]
    )
    assert summary == Summary(
        user=("I work for Dr. Smith in St. Louis.", "i have 3.5 acres"),
        assistant=("My sister is a vet.", "I drive a truck"),
    )


def test_one_speaker_and_none():
    assert summarise(said("I have a dog.")) == Summary(user=("I have a dog.",))
    assert summarise([]) == Summary()


def test_what_was_said_twice_stands_once_where_it_was_said_first():
    texts = ["I have two cats.", "I play chess.", "I really have two cats!", "I've two cats too"]
    assert summarise(said(*texts)).user == ("I have two cats.", "I play chess.")


def test_a_sentence_that_says_more_takes_the_place_of_one_that_says_less():
    texts = ["I have two cats.", "I have two cats named Miso and Tofu."]
    assert summarise(said(*texts)).user == (texts[1],)


def test_what_differs_in_one_word_that_counts_is_kept():
    texts = ["I have a dog.", "I like dogs.", "I am a nurse.", "I am not a nurse.", "My wife is a nurse."]
    assert summarise(said(*texts)).user == tuple(texts)


def test_the_most_telling_sentences_are_kept(monkeypatch):
    monkeypatch.setattr("chat.summary.MAX_PERSONA_SENTENCES", 2)
    telling = ["I teach physics and chemistry in Ohio.", "My brother builds boats."]
    texts = ["I really would have to do that thing with the dog.", telling[0], "I teach.", telling[1]]
    texts.append("I teach chemistry and physics to kids.")
    assert summarise(said(*texts)).user == tuple(telling)


def test_what_the_persona_holds_is_not_found_anew():
    texts = ["I work as a nurse.", "I am a nurse.", "I work as a nurse in Ohio."]
    found = summarise(said(*texts, role=ASSISTANT) + said(*texts), persona=["I work as a nurse."])
    assert found.assistant == ("I am a nurse.", "I work as a nurse in Ohio.")
    assert found.user == ("I am a nurse.", "I work as a nurse in Ohio.")
    only_persona = summarise(said(texts[0], role=ASSISTANT) + said(texts[0]), persona=[texts[0]])
    assert only_persona == Summary(user=(texts[0],))


def test_our_own_sentences_are_not_the_models():
    assert summarise(said(FALLBACK_REPLY, BLOCKED_REPLY, role=ASSISTANT)) == Summary()


def test_the_text_is_read_back_as_it_was_edited():
    summary = Summary(user=("I have two cats.", "I play chess."), assistant=("I'm from Ohio.",))
    assert summary.to_text() == ("You said:\nI have two cats.\nI play chess.\n\nGPT-2 said:\nI'm from Ohio.")
    assert Summary.from_text(summary.to_text()) == summary
    assert Summary().to_text() == "" and Summary.from_text("") == Summary()
    edited = "I have no cats.\n\n gpt-2 SAID: \n\n  I'm from Iowa.  \n" + "x" * 1000
    assert Summary.from_text(edited) == Summary(
        user=("I have no cats.",),
        assistant=("I'm from Iowa.", "x" * MAX_PERSONA_SENTENCE_CHARACTERS),
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=60),
            st.lists(
                st.sampled_from(["I", "have", "my", "cats", "you", "?", ".", ",", "if", "\u2028", "\n"])
            ).map(" ".join),
        ),
        max_size=6,
    )
)
def test_whatever_is_said_it_is_quoted_word_for_word(texts):
    summary = summarise(said(*texts))
    spoken = " ".join(" ".join(message_from(text).split()) for text in texts)
    assert all(fact in spoken for fact in summary.user) and not summary.assistant
    assert Summary.from_text(summary.to_text()) == summary


def test_a_line_separator_does_not_stop_the_segmenter():
    assert summarise(said("I have cats\u2028. I  play\tchess.")).user == ("I have cats", "I play chess.")


@pytest.mark.parametrize("text", ["My cat{} is big. I have two dogs, ", "no, ", "!", ", i"])
def test_the_longest_session_is_summarised_at_once(text):
    turns = [
        {
            "role": role,
            "content": "".join(text.format(f"{turn}x{at}") for at in range(MAX_MESSAGE_CHARACTERS)),
        }
        for turn, role in enumerate((USER, ASSISTANT) * (MAX_TURNS // 2))
    ]
    seconds = (timeit.timeit(lambda: summarise(turns), number=1, timer=time.process_time) for _ in range(3))
    # It takes half a second; what grows with the square of a message's length takes five and more. One of
    # several, since neighbours on the machine make CPU time longer, too.
    assert any(each < 2 for each in seconds)
