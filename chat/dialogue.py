"""The dialogue record that every corpus becomes, and the clean-up that makes its text written English."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

USER = "user"
ASSISTANT = "assistant"
SYSTEM = "system"


@dataclass(frozen=True)
class Turn:
    """One speaker's uninterrupted say.

    Attributes:
        distractors: replies to something else, among which evaluation lets a model find this one.
    """

    role: str
    text: str
    distractors: tuple[str, ...] = ()

    def to_json(self) -> dict:
        record: dict = {"role": self.role, "text": self.text}
        return record | {"distractors": list(self.distractors)} if self.distractors else record


@dataclass(frozen=True)
class Dialogue:
    """A conversation of two speakers.

    Attributes:
        source: name of the corpus.
        turns: at least two, roles alternating.
        persona: first-person sentences about the assistant; empty where the corpus has none, and then the
            roles carry no meaning: either speaker may be learnt from (see `views`).
        group: what must not be divided between training and validation, such as the film.
        split: `train` or `val` where the corpus brings its own split, else empty.
    """

    source: str
    turns: tuple[Turn, ...]
    persona: tuple[str, ...] = ()
    group: str = ""
    split: str = ""

    def views(self, both_sides: bool = False) -> list[Dialogue]:
        """The dialogue as training sees it: with a persona as it is, else from either speaker's side.

        Args:
            both_sides: with a persona, too, from the user's side, of whom no persona is known.
        """
        if self.persona and not both_sides:
            return [self]
        return [self, replace(self, turns=swapped(self.turns), persona=())]

    def messages(self) -> list[dict[str, str]]:
        """The dialogue as chat messages, the persona as the system message."""
        persona = persona_text(self.persona)
        system = [{"role": SYSTEM, "content": persona}] if persona else []
        return system + [{"role": turn.role, "content": turn.text} for turn in self.turns]

    def to_json(self) -> dict:
        """The JSONL record of `chat.jsonl`, the format of a user's own corpus."""
        return {
            "source": self.source,
            "group": self.group,
            "persona": list(self.persona),
            "turns": [turn.to_json() for turn in self.turns],
        }


def swapped(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The turns with the sides exchanged; distractors, which are the assistant's, go."""
    other = {USER: ASSISTANT, ASSISTANT: USER}
    return tuple(Turn(other[turn.role], turn.text) for turn in turns)


def persona_text(persona: Iterable[str]) -> str:
    """The persona's sentences as the one text that the prompt carries."""
    return " ".join(sentence.strip() for sentence in persona if sentence.strip())


def alternating_turns(utterances: Iterable[tuple[str, str]], dropped: Counter) -> tuple[Turn, ...]:
    """Turns with alternating roles from (speaker, text) pairs in order.

    Empty texts are left out and counted in `dropped`; what one speaker says in a row is joined into one turn.
    Speakers named `user` and `assistant` keep these roles; other names stand for the two sides in turn.
    """
    joined: list[tuple[str, str]] = []
    for speaker, text in utterances:
        if not text:
            dropped["empty utterances"] += 1
        elif joined and joined[-1][0] == speaker:
            joined[-1] = (speaker, f"{joined[-1][1]} {text}")
        else:
            joined.append((speaker, text))
    sides = (USER, ASSISTANT)
    return tuple(
        Turn(speaker if speaker in sides else sides[index % 2], text)
        for index, (speaker, text) in enumerate(joined)
    )


def with_distractors(turns: Iterable[Turn], distractors: dict[str, tuple[str, ...]]) -> tuple[Turn, ...]:
    """The assistant's turns with the distractors that their texts have in `distractors`."""
    return tuple(
        replace(turn, distractors=distractors.get(turn.text, ())) if turn.role == ASSISTANT else turn
        for turn in turns
    )


_TAG = re.compile(r"</?(?:u|i|b|em|pre|html|cmdf)\s*/?>", re.IGNORECASE)
_LOST_APOSTROPHE = re.compile(r"(?<=[A-Za-z])\ufffd(?=(?:s|t|m|d|re|ve|ll|em|all)\b)", re.IGNORECASE)
_LOST_DASH = re.compile(r"(?<=[A-Za-z])\ufffd+(?=[A-Za-z])|(?<=\s)\ufffd+-*(?=\s)")
_QUOTES = str.maketrans(
    {"’": "'", "‘": "'", "′": "'", "“": '"', "”": '"', "。": ".", "、": ",", "…": "...", "–": "-"}
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b\ufeff]")
_SPACE = re.compile(r"\s+")


def clean_film_text(text: str) -> str:
    """A line of a film script as written English: no HTML tags, control characters, double spaces or U+FFFD.

    U+FFFD stands where the corpus lost a character: an apostrophe inside a contraction and a dash between
    words are put back, any other (an accent, a quotation mark) goes.
    """
    if "<" in text:
        text = _TAG.sub("", text)
    text = _CONTROL.sub(" ", text.translate(_QUOTES))
    if "\ufffd" in text:
        text = _LOST_DASH.sub(" -- ", _LOST_APOSTROPHE.sub("'", text)).replace("\ufffd", "")
    return _SPACE.sub(" ", text).strip().removeprefix("-- ").removesuffix(" --").strip()


_CONTRACTION = re.compile(r"(?<=[A-Za-z]) ?' ?(?=(?:s|t|m|d|re|ve|ll|clock)\b)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<=\d) ([.:]) (?=\d{2}\b)|(?<=\d) (,) (?=\d{3}\b)")
_ELLIPSIS = re.compile(r"\.(?: ?\.){1,}")
_BEFORE_MARK = re.compile(r" +([.,!?;:%)\]])")
_GLUED_SENTENCE = re.compile(r"(?<=[a-z]{2})([.?!,])(?=[A-Z][a-z' ]|I\b)")
_AFTER_OPENING = re.compile(r"([(\[$£]) +")
_QUOTED = re.compile(r'" *([^"]*?) *"')
_REPEATED_MARK = re.compile(r"([!?,])(?: ?\1)+")
_SENTENCE_START = re.compile(r"(^[\"'(]*|(?<!\.\.)[.!?][\"')]* +[\"'(]*)([a-z])")
_FIRST_PERSON = re.compile(r"\bi(?=$|['\s.,!?;:)])")
_ABBREVIATED = re.compile(
    r"\b(im|dont|cant|ive|didnt|isnt|doesnt|wasnt|whats|thats|couldnt|wouldnt|arent|youre|theyre)\b",
    re.IGNORECASE,
)
_ABBREVIATION_OF = {
    "im": "i'm", "dont": "don't", "cant": "can't", "ive": "i've", "didnt": "didn't", "isnt": "isn't",
    "doesnt": "doesn't", "wasnt": "wasn't", "whats": "what's", "thats": "that's", "couldnt": "couldn't",
    "wouldnt": "wouldn't", "arent": "aren't", "youre": "you're", "theyre": "they're",
}  # fmt: skip


def clean_spaced_text(text: str) -> str:
    """Spaced, often lower-cased corpus text as written English: `hi , i'm fine .` becomes `Hi, I'm fine.`

    Marks are joined to their words, contractions mended (`don ' t`, `dont`), sentences, `I` and proper nouns
    (`proper_nouns.txt`) capitalised, and a missing final full stop is added. Cased text keeps its case.
    """
    text = _SPACE.sub(" ", _CONTROL.sub(" ", text.translate(_QUOTES))).strip()
    if not any(character.isalnum() for character in text):
        return ""
    text = _CONTRACTION.sub("'", text)
    text = _ABBREVIATED.sub(lambda match: _expand(match.group(0)), text)
    text = _NUMBER.sub(r"\1\2", text)
    text = _ELLIPSIS.sub("...", text)
    text = _QUOTED.sub(r'"\1"', text)
    text = _AFTER_OPENING.sub(r"\1", _BEFORE_MARK.sub(r"\1", text))
    text = _REPEATED_MARK.sub(r"\1", text)
    text = _GLUED_SENTENCE.sub(r"\1 ", text)
    text = _FIRST_PERSON.sub("I", text)
    text = _proper_noun_pattern().sub(lambda match: _proper_nouns()[match.group(0)], text)
    text = _SENTENCE_START.sub(lambda match: match.group(1) + match.group(2).upper(), text)
    return text if text[-1] in ".!?\"')" else text + "."


def _expand(word: str) -> str:
    expanded = _ABBREVIATION_OF[word.lower()]
    return expanded.capitalize() if word[0].isupper() else expanded


@lru_cache(maxsize=1)
def _proper_nouns() -> dict[str, str]:
    lines = (Path(__file__).parent / "proper_nouns.txt").read_text(encoding="utf-8").splitlines()
    words = (word.replace("_", " ") for line in lines if not line.startswith("#") for word in line.split())
    return {word.lower(): word for word in words if word.lower() != word}


@lru_cache(maxsize=1)
def _proper_noun_pattern() -> re.Pattern[str]:
    longest_first = sorted(_proper_nouns(), key=len, reverse=True)
    return re.compile(r"(?<![\w'])(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)")
