"""Dialogues of our own making in which somebody with a persona is asked about it and answers by it.

In PersonaChat the persona is told rather than asked for, and a small model learns from it to say any sentence
of the persona whatever the question. Here each answer is the one that the persona gives, of a pet, a job, a
number; guesses that are wrong are denied. `persona_questions.yaml` has the sentences, of which every dialogue
combines others at random. Nothing here is for validation: the sentences would be known.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chat.cli import UserError, typed_line
from chat.dialogue import ASSISTANT, USER, Dialogue, Turn
from data_scripts.swaps import interchangeable_words

NAME = "persona_questions"
SENTENCES = Path(__file__).with_name("persona_questions.yaml")
DIALOGUES = 30_000
SEED = 0
# Of what is said; the rest asks for a fact.
SMALLTALK = 0.25
# Of the questions after a fact was told: those that ask on about it.
FOLLOW_UPS = 0.4
# Of the questions for a fact: those for one that the persona tells.
FACTS = 0.85
Classes = dict[str, list[tuple[str, ...]]]
_OPEN_QUESTION = re.compile(r"(So |In )?(what|where|which|who|how|when|why)\b", re.IGNORECASE)
_CONFIRMS = re.compile(r"(Yes|No|Not (really|at all|yet)|I do|I am|I have|I did|Sometimes)[,.!]")
_SLOT = re.compile(r"\{(\w+)(?: (\d))?\}")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")
_PRONOUNS = {
    True: {"they": "he", "them": "him", "their": "his"},
    False: {"they": "she", "them": "her", "their": "her"},
}
_MAN, _WOMAN = "name_of_man", "name_of_woman"


def load(path: str | None, keep_raw_text: bool, dropped: Counter) -> Iterator[Dialogue]:
    """Always the same dialogues of the same sentences. See `cornell.load` for the arguments.

    Args:
        path: a file of other sentences (None: ours).
    """
    import yaml

    try:
        sentences = yaml.safe_load(Path(path or SENTENCES).read_text(encoding="utf-8"))
        _check(sentences)
        own = {name: [(word,) for word in words] for name, words in sentences["words"].items()}
        classes = interchangeable_words() | own
        # What is drawn by lot does not depend on the order in the file.
        sentences["topics"] = dict(sorted(sentences["topics"].items()))
        random_ = random.Random(SEED)
        for _ in range(DIALOGUES):
            yield _Conversation(sentences, classes, random_).dialogue()
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"--corpora {NAME}={path}: no sentences like those of data_scripts/{SENTENCES.name} "
            f"({typed_line(error)}); give such a file"
        ) from None


def _check(part: Any) -> None:
    """
    Raises:
        TypeError: one text stands in place of a list, of which each letter would be a sentence.
        ValueError: a sentence has a brace that begins no slot.
    """
    if isinstance(part, dict):
        for name, value in part.items():
            # What is said in `smalltalk` names one topic.
            if isinstance(value, str) and not (name == "unless" and "asked" in part):
                raise TypeError(f"`{name}: {value}` must be a list: [...]")
            _check(value)
    elif isinstance(part, list):
        for each in part:
            _check(each)
    elif isinstance(part, str) and "{" in _SLOT.sub("", part):
        raise ValueError(f"`{part}` has a brace that begins no slot such as {{pet}} or {{pet 2}}")


class _Values:
    """What stands for the slots of one speaker's sentences, always the same word for the same slot.

    Args:
        classes: the forms of each word that can stand for a slot, by the slot's name.
        taken: words that no other slot may have, to which those found are added.
    """

    def __init__(self, random_: random.Random, classes: Classes, taken: set[str]):
        self._random, self._classes, self._taken = random_, classes, taken
        self._found: dict[str, tuple[str, ...]] = {}
        self._is_man = random_.random() < 0.5

    def fill(self, sentence: str) -> str:
        # Most sentences have neither, and 30,000 dialogues are 700,000 sentences.
        filled = _SLOT.sub(self._slot, sentence) if "{" in sentence else sentence
        if "a " in filled or "A " in filled:
            filled = _ARTICLE.sub(r"\1n ", filled)
        return filled[0].upper() + filled[1:]

    def _slot(self, match: re.Match) -> str:
        name, number = match.group(1).lower(), match.group(2) or "1"
        pronouns = _PRONOUNS[self._is_man]
        word = pronouns[name] if name in pronouns else self._word(name, number)
        return word[0].upper() + word[1:] if match.group(1)[0].isupper() else word

    def _word(self, name: str, number: str) -> str:
        if name == "person":
            name = _MAN if self._is_man else _WOMAN
        singular = name if name in self._classes else name.removesuffix("s")
        forms = self._found.get(singular + number)
        if forms is None:
            free = [each for each in self._classes[singular] if each[0] not in self._taken]
            forms = self._found[singular + number] = self._random.choice(free or self._classes[singular])
            self._taken.add(forms[0])
        return forms[0] if name == singular else forms[-1]


class _Conversation:
    """One dialogue: some facts of the assistant, and questions about these and about others."""

    def __init__(self, sentences: dict[str, Any], classes: Classes, random_: random.Random):
        self.sentences, self.classes, self.random = sentences, classes, random_
        self.topics = sentences["topics"]
        self.taken: set[str] = set()
        self.facts = {
            topic: (random_.choice(self.topics[topic]["facts"]), self._values())
            for topic in random_.sample([*self.topics], random_.randint(3, 6))
        }
        self.turns: list[Turn] = []
        self.unasked = {topic: fact["replies"].copy() for topic, (fact, _) in self.facts.items()}
        self.last_topic = ""

    def dialogue(self) -> Dialogue:
        persona = tuple(self._one(fact["persona"], values) for fact, values in self.facts.values())
        opening = self._one(self.sentences["greetings"])
        if self.random.random() < 0.25:
            self._add([opening], self._one(self.sentences["greeted"]))
            opening = self._one(self.sentences["well"])
        asked_back = ""
        for _ in range(self.random.randint(3, 8)):
            if self.random.random() < SMALLTALK:
                self._talk(opening, asked_back)
                asked_back = ""
            else:
                asked_back = self._exchange(self._topic(), opening, asked_back)
            opening = self._one(self.sentences["reactions"]) if self.random.random() < 0.6 else ""
        return Dialogue(NAME, tuple(self.turns), persona, split="train")

    def _topic(self) -> str:
        left = [topic for topic in self.facts if self._askable(topic)]
        if self.last_topic in left and self.random.random() < FOLLOW_UPS:
            return self.last_topic
        if left and self.random.random() < FACTS:
            return self.random.choice(left)
        absent = [topic for topic in self.topics if self._is_absent(topic)]
        if not absent:
            raise ValueError("a persona leaves no topic that it says nothing of: give more topics")
        return self.random.choice(absent)

    def _is_absent(self, topic: str) -> bool:
        """Whether the persona says nothing of it, nor of anything that it might be taken for."""
        return topic not in self.facts and self.facts.keys().isdisjoint(self.topics[topic].get("unless", ()))

    def _askable(self, topic: str) -> list[dict[str, Any]]:
        """What was not asked of a fact and can be now: what says "it" or "there" follows another question."""
        unasked = self.unasked[topic]
        return unasked if topic == self.last_topic else [each for each in unasked if not each.get("follows")]

    def _exchange(self, topic: str, opening: str, asked_back: str) -> str:
        """Adds a question and its answer; returns the topic that the answer asks the user about, if any."""
        fact, values = self.facts.get(topic, (None, self._values()))
        about = self.random.choice(self._askable(topic) if fact else self.topics[topic]["absent"])
        if fact:
            self.unasked[topic].remove(about)
        own = asked_back or (topic if self.random.random() < 0.35 and not about.get("follows") else "")
        said = [opening, self._of_user(own)]
        question, answer = self._question_and_answer(about, values)
        if "?" not in answer and self.random.random() < 0.2:
            answer += " " + self._one(self.topics[topic]["returned"])
        self._add([*said, question], answer)
        self.last_topic = topic if fact else ""
        return topic if "?" in answer else ""

    def _talk(self, opening: str, asked_back: str) -> None:
        """Adds something that is about no fact, and its answer."""
        about = self.random.choice(
            [each for each in self.sentences["smalltalk"] if each.get("unless") not in self.facts]
        )
        said, answer = self._question_and_answer(about, self._values())
        self._add([opening, self._of_user(asked_back), said], answer)
        self.last_topic = ""

    def _question_and_answer(self, about: dict[str, list[str]], values: _Values) -> tuple[str, str]:
        asked = self.random.choice(about["asked"])
        told = about["told"]
        if _OPEN_QUESTION.match(asked):
            told = [each for each in told if not _CONFIRMS.match(each)] or told
        return values.fill(asked), values.fill(self.random.choice(told))

    def _of_user(self, topic: str) -> str:
        return self._one(self.topics[topic]["user"]) if topic else ""

    def _values(self) -> _Values:
        return _Values(self.random, self.classes, self.taken)

    def _one(self, sentences: list[str], values: _Values | None = None) -> str:
        sentence = self.random.choice(sentences)
        return (values or self._values()).fill(sentence)

    def _add(self, asked: list[str], told: str) -> None:
        self.turns += [Turn(USER, " ".join(filter(None, asked))), Turn(ASSISTANT, told)]
