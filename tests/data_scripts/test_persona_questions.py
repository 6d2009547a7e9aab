"""Dialogues of our own making: every answer is what the persona says, and every wrong guess is denied."""

import itertools
import random
import re
from collections import Counter

import pytest

from chat.cli import UserError
from chat.dialogue import ASSISTANT, USER
from data_scripts import persona_questions
from data_scripts.arguments import PrepareArguments
from data_scripts.persona_questions import DIALOGUES
from data_scripts.prepare import prepare
from data_scripts.publish import render_card
from data_scripts.swaps import interchangeable_words
from tests.conftest import SAMPLE_CORPORA

# Of these an assistant who is asked for what the persona does not say names none.
ONLY_OF_THE_PERSONA = ("age", "city", "country", "make", "month", "workplace", "name_of_man", "name_of_woman")


def load(path=None):
    return list(persona_questions.load(path and str(path), False, Counter()))


@pytest.fixture(scope="module")
def dialogues():
    """A third of them, as all take a quarter of a minute."""
    return [*itertools.islice(persona_questions.load(None, False, Counter()), DIALOGUES // 3)]


def words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z]+|\d+", text))


@pytest.fixture(scope="module")
def words_of_personas_and_answers(dialogues):
    """Of each dialogue: the words of the persona, and those of each turn of the assistant."""
    return [
        (words(" ".join(each.persona)), [words(turn.text) for turn in each.turns[1::2]]) for each in dialogues
    ]


@pytest.mark.slow
def test_they_are_many_and_hardly_two_are_alike():
    dialogues = load()
    assert len(dialogues) == DIALOGUES and len({each.turns for each in dialogues}) > 0.99 * DIALOGUES
    texts = {turn.text for each in dialogues for turn in each.turns}
    assert len(texts) > 20_000 and not any("{" in text or "  " in text for text in texts)


def test_they_are_the_same_each_time(dialogues, monkeypatch):
    monkeypatch.setattr(persona_questions, "DIALOGUES", 500)
    assert load() == dialogues[:500]


def test_all_are_for_training_and_have_a_persona(dialogues):
    for each in dialogues:
        assert each.split == "train" and 3 <= len(each.persona) <= 6
        assert [turn.role for turn in each.turns] == [USER, ASSISTANT] * (len(each.turns) // 2)
        assert all(turn.text[0].isupper() or turn.text[0].isdigit() for turn in each.turns)


@pytest.mark.parametrize("name", ONLY_OF_THE_PERSONA)
def test_what_the_assistant_names_is_in_its_persona(words_of_personas_and_answers, name):
    of_class = {form for forms in interchangeable_words()[name] for form in forms}
    named = 0
    for persona, answers in words_of_personas_and_answers:
        for answer in answers:
            told = answer & of_class
            assert told <= persona, (persona, answer)
            named += len(told)
    assert named > 100


def test_a_wrong_guess_is_denied_and_a_right_one_is_not(dialogues):
    answers = {True: [], False: []}
    for each in dialogues:
        for asked, told in zip(each.turns[::2], each.turns[1::2], strict=True):
            guess = re.search(r"(?:Do you live|Are you|Is your home) in ([A-Z]\w+)\?$", asked.text)
            persona = " ".join(each.persona)
            if guess and re.search(r"(live|living|apartment|home|house|town) in|near ", persona):
                answers[f"{guess[1]}." in persona].append(told.text)
    assert len(answers[True]) > 50 and len(answers[False]) > 50
    assert all(text.startswith("No") for text in answers[False])
    assert all(text.startswith("Yes") for text in answers[True])


def test_who_asks_what_or_where_is_not_told_yes(dialogues):
    asked = re.compile(r"(?:^|[.!?] )(?:What|Where|Who|How old|How many)\b[^.!?]*\?$")
    answers = [
        told.text
        for each in dialogues
        for question, told in zip(each.turns[::2], each.turns[1::2], strict=True)
        if asked.search(question.text)
    ]
    assert len(answers) > 10_000 / 3
    assert sum(bool(re.match("(Yes|No)[,.!]", text)) for text in answers) < 0.01 * len(answers)


def test_what_says_there_or_they_follows_a_question_about_the_same(dialogues):
    topic_of = {
        "Do you like it there?": "live|house",
        "How old are they?": "grand|kids",
        "How did you pick that name?": "",
    }
    seen = Counter()
    for each in dialogues:
        assert not each.turns[0].text.endswith(tuple(topic_of))
        for turn in each.turns[2::2]:
            for question, topic in topic_of.items():
                if turn.text.endswith(question):
                    seen[question] += 1
                    assert re.search(topic, " ".join(each.persona))
    assert seen.keys() == topic_of.keys()


def test_small_talk_does_not_contradict_the_persona(dialogues):
    personas = [(" ".join(each.persona), each) for each in dialogues]
    # Who cooks is asked about it as about any fact.
    vegetarians = [
        each
        for persona, each in personas
        if re.search("vegan|vegetarian|eat meat", persona) and "cook" not in persona
    ]
    assert len(vegetarians) > 50
    asked = [turn.text for each in vegetarians for turn in each.turns[::2]]
    assert not any("What's for dinner?" in text or "Do you like to cook?" in text for text in asked)
    others = [turn.text for each in dialogues for turn in each.turns[::2]]
    assert any("What's for dinner?" in text for text in others)


def test_a_is_an_before_a_vowel(dialogues):
    texts = [text for each in dialogues for text in (*each.persona, *(turn.text for turn in each.turns))]
    assert not any(re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", text) for text in texts)


def own_sentences(path, *names: str):
    """A file of these topics, written for a test."""
    topic = """
  {name}:
    facts:
      - persona: ["My {name} is {{number}}."]
        replies: [{{asked: ["Which {name}?"], told: ["{{Number}}."]}}]
    absent: [{{asked: ["Any {name}?"], told: ["None."]}}]
    unless: {unless}
    user: ["I have one."]
    returned: ["And yours?"]"""
    topics = "".join(topic.format(name=name, unless=["row"] if name == "seat" else []) for name in names)
    opening = 'greetings: ["Hi!"]\ngreeted: ["Hello!"]\nwell: ["Fine."]\nreactions: ["Ah."]\n'
    talk = 'smalltalk: [{asked: ["Well?"], told: ["Well."]}]\nwords: {}\n'
    path.write_text(f"{opening}{talk}topics:{topics}\n")
    return path


def test_sentences_of_ones_own(tmp_path):
    topics = ("floor", "bus", "room", "class", "seat", "row", "lane", "gate")
    path = own_sentences(tmp_path / "questions.yaml", *topics)
    dialogues = [*itertools.islice(persona_questions.load(str(path), False, Counter()), 300)]
    assert all(re.fullmatch(r"My \w+ is \w+\.", sentence) for each in dialogues for sentence in each.persona)
    assert dialogues[0].turns[0].text.startswith("Hi!")
    turned = own_sentences(tmp_path / "turned.yaml", *reversed(topics))
    assert next(persona_questions.load(str(turned), False, Counter())) == dialogues[0]
    for each in dialogues:
        told = {sentence.split()[1] for sentence in each.persona}
        asked = Counter(re.findall(r"(Which|Any) (\w+)\?", " ".join(turn.text for turn in each.turns)))
        # A fact is asked for once, and none is denied that the persona has, or has by another name.
        assert all(times == 1 for (word, _), times in asked.items() if word == "Which")
        assert not told & {name for word, name in asked if word == "Any"}
        assert not ("row" in told and ("Any", "seat") in asked)


def test_the_same_slot_is_the_same_word_in_each_of_its_forms():
    classes = {"pet": [("dog", "dogs"), ("cat", "cats")]}
    filled = persona_questions._Values(random.Random(0), classes, set()).fill("{pets}, {pet 2}, {Pet}")
    assert filled in ("Dogs, cat, Dog", "Cats, dog, Cat")


def test_too_few_topics_are_told_of(tmp_path):
    path = own_sentences(tmp_path / "questions.yaml", "floor", "bus", "room", "class", "seat", "lane")
    with pytest.raises(
        UserError, match="a persona leaves no topic that it says nothing of: give more topics"
    ):
        load(path)


@pytest.mark.parametrize(
    ("written", "instead", "problem"),
    [
        ('greetings: ["Hi!"]', "greetings: Hello there", "`greetings: Hello there` must be a list"),
        ('told: ["Well."]', "told: Well enough.", "`told: Well enough.` must be a list"),
        ("words: {}", "words: {colour: red}", "`colour: red` must be a list"),
        ("unless: []", "unless: bus", "`unless: bus` must be a list"),
        ('told: ["Well."]', 'told: ["Ask my { pet }."]', "`Ask my { pet }.` has a brace that begins no slot"),
    ],
)
def test_letters_are_no_sentences_and_what_is_no_slot_is_told(tmp_path, written, instead, problem):
    path = own_sentences(tmp_path / "questions.yaml", "floor", "bus", "room", "class", "seat", "row", "lane")
    assert written in path.read_text()
    path.write_text(path.read_text().replace(written, instead))
    with pytest.raises(UserError, match=re.escape(problem)):
        load(path)


@pytest.mark.parametrize("content", [None, "topics: [", "topics: {}", "words: []", "7"])
def test_a_file_of_something_else_is_named(tmp_path, content):
    path = tmp_path / "questions.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=re.escape(f"persona_questions={path}")):
        load(path)


def test_they_are_prepared_beside_a_corpus_and_known_by_the_code(
    base_tokenizer_folder, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(persona_questions, "DIALOGUES", 200)
    options = PrepareArguments(
        corpora=[*SAMPLE_CORPORA, persona_questions.NAME],
        tokenizer=str(base_tokenizer_folder),
        output=str(tmp_path / "data"),
    )
    stats = prepare(options)
    counts = stats["corpora"][persona_questions.NAME]
    assert counts["train"]["dialogues"] == 200 and counts["val"]["replies"] == 0
    caplog.set_level("INFO")
    assert prepare(options) == stats and "nothing changed" in caplog.text and "by name" not in caplog.text
    text = render_card(stats, "someone/talk").text
    assert "(`persona_questions`) | made-up dialogues" in text and "| this project |" in text
    assert "The dialogues, but for those made here, were written by people" in text
