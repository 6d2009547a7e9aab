"""Copies of dialogues in which the persona's details are others: a second dog becomes a fourth cat.

A detail is a word of the persona for which others can stand (`interchangeable_words.txt`); it is exchanged
throughout the dialogue, and the persona's sentences come in another order. From such copies a model learns to
look a detail up in the persona, where from few dialogues it would learn it by heart.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from chat.dialogue import Dialogue, Turn

if TYPE_CHECKING:
    from data_scripts.corpora import Corpus

WORDS = Path(__file__).with_name("interchangeable_words.txt")
# Hot dogs are no pets.
_WORD = re.compile(r"(?<![\w'-])(?:(an?|An?) )?([Hh]ot dogs?|[A-Za-z]+(?:-[a-z]+)?|\d\d)(?![\w-])")
_VOWELS = tuple("aeiou")


def add_swapped_copies(corpora: list[Corpus], copies: dict[str, float], seed: int) -> None:
    """Adds to each corpus's training dialogues so many copies, by its name, of those with a persona."""
    for corpus in corpora:
        made = swapped_copies(corpus.train, copies.get(corpus.name, 0), seed)
        corpus.train += made
        corpus.swapped_copies = len(made)


def swapped_copies(dialogues: list[Dialogue], copies: float, seed: int) -> list[Dialogue]:
    """So many copies of each dialogue with a persona that has a detail; of what is not whole, a share is
    drawn by `seed`.
    """
    random_ = random.Random(seed)
    whole, share = divmod(copies, 1)
    made = []
    for dialogue in dialogues:
        if dialogue.persona:
            number = int(whole) + (random_.random() < share)
            copies_of_it = [swap_details(dialogue, random_) for _ in range(number)]
            made += [copy for copy in copies_of_it if sorted(copy.persona) != sorted(dialogue.persona)]
    return made


def swap_details(dialogue: Dialogue, random_: random.Random) -> Dialogue:
    """The dialogue with other details, its persona's sentences in another order."""
    texts = [*dialogue.persona, *(turn.text for turn in dialogue.turns)]
    taken = {word.lower() for text in texts for word in _words(text)}
    classes = _classes()
    exchanged: dict[str, str] = {}
    for word in dict.fromkeys(word for sentence in dialogue.persona for word in _words(sentence)):
        if word.lower() not in classes or word.lower() in exchanged or not _is_capitalised_as_its_class(word):
            continue
        forms, others = classes[word.lower()]
        free = [other for other in others if not taken.intersection(map(str.lower, other))]
        if free:
            chosen = random_.choice(free)
            taken.update(map(str.lower, chosen))
            exchanged |= {form.lower(): other for form, other in zip(forms, chosen, strict=True)}
    persona = [_exchange(sentence, exchanged) for sentence in dialogue.persona]
    random_.shuffle(persona)
    turns = tuple(Turn(turn.role, _exchange(turn.text, exchanged)) for turn in dialogue.turns)
    return replace(dialogue, persona=tuple(persona), turns=turns)


def _words(text: str) -> list[str]:
    return [match.group(2) for match in _WORD.finditer(text)]


def _is_capitalised_as_its_class(word: str) -> bool:
    """Whether the word has a capital, if the words of its class have one: Bill is a man, a bill is not."""
    forms, _ = _classes()[word.lower()]
    return word[0].isupper() or not forms[0][0].isupper()


def _exchange(text: str, exchanged: dict[str, str]) -> str:
    def other(match: re.Match) -> str:
        article, word = match.groups()
        if word.lower() not in exchanged or not _is_capitalised_as_its_class(word):
            return match.group(0)
        new = exchanged[word.lower()]
        if word[0].isupper() and new[0].islower():
            new = new.capitalize()
        if not article:
            return new
        return f"{article[0]}{'n' if new.lower().startswith(_VOWELS) else ''} {new}"

    return _WORD.sub(other, text)


@cache
def interchangeable_words() -> dict[str, list[tuple[str, ...]]]:
    """By class, the forms of each of its words: singular and plural, or one form alone."""
    lines = WORDS.read_text(encoding="utf-8").splitlines()
    classes = (line.split() for line in lines if not line.startswith("#"))
    return {name: [tuple(forms.split("/")) for forms in words] for name, *words in classes}


@cache
def _classes() -> dict[str, tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """By lower-cased word, its forms and the forms of all words that can stand for it."""
    found = {}
    for words in interchangeable_words().values():
        for forms in words:
            others = [other for other in words if other != forms]
            found |= {form.lower(): (forms, others) for form in forms}
    return found
