"""The summary at the end of a session: who said what about themselves, sentence by sentence as it was said.

Sentences are found by Wikimedia's `sentencex`, and weighed by scikit-learn's TF-IDF. Those are taken that
together hold the most: of 1,486 sessions of the Multi-Session Chat, three sentences a speaker hold 55 % of
the facts that people noted down; the first three hold 48 %, and the three most central ones (LexRank) 49 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chat.content_guard import BLOCKED_REPLY
from chat.dialogue import ASSISTANT, USER
from chat.engine import FALLBACK_REPLY
from chat.reply_checks import spelt_out
from chat.self_statements import content_words, self_statements, words
from chat.session import (
    MAX_PERSONA_SENTENCE_CHARACTERS,
    MAX_PERSONA_SENTENCES,
    message_from,
    persona_from,
)

HEADINGS = {USER: "You said:", ASSISTANT: "GPT-2 said:"}
NEAR_DUPLICATE = 0.8

_NEGATIONS = {"not", "no", "never", "none", "nobody", "without", "cannot", "cant", "dont", "didnt", "isnt"}
_WITHOUT_WEIGHT = {"a", "an", "the", "too", "also", "really", "very", "just", "so", "and", "but", "well"}


@dataclass(frozen=True)
class Summary:
    """What each said about themselves, word for word, in the order in which it was said.

    Attributes:
        user: the user's sentences.
        assistant: the assistant's, which a persona can take as they are.
    """

    user: tuple[str, ...] = ()
    assistant: tuple[str, ...] = ()

    def to_text(self) -> str:
        """For showing and editing: per speaker who said something a heading, and a sentence a line."""
        sections = ((HEADINGS[USER], self.user), (HEADINGS[ASSISTANT], self.assistant))
        return "\n\n".join("\n".join([heading, *facts]) for heading, facts in sections if facts)

    @classmethod
    def from_text(cls, text: str) -> Summary:
        """What `to_text` gave and somebody edited, within a persona's limits.

        Lines before any heading are the user's.
        """
        roles = {heading.lower(): role for role, heading in HEADINGS.items()}
        lines: dict[str, list[str]] = {USER: [], ASSISTANT: []}
        role = USER
        for line in text.splitlines():
            role, is_heading = roles.get(line.strip().lower(), role), line.strip().lower() in roles
            if not is_heading:
                lines[role].append(line)
        return cls(persona_from(lines[USER]), persona_from(lines[ASSISTANT]))


def summarise(turns: Sequence[Mapping[str, str]], persona: Sequence[str] = ()) -> Summary:
    """The sentences of a conversation in which the two spoke about themselves.

    Of more than a persona can have of one speaker, those that together tell the most.

    Args:
        turns: as a session has them.
        persona: of the assistant; what it holds already is left out.
    """
    own_replies = {FALLBACK_REPLY, BLOCKED_REPLY}
    facts: dict[str, list[str]] = {USER: [], ASSISTANT: []}
    for turn in turns:
        text = message_from(turn["content"])
        if text not in own_replies:
            facts[turn["role"]] += _facts(text)
    known = [_terms(sentence) for sentence in persona]
    new = [fact for fact in facts[ASSISTANT] if not _is_told(_terms(fact), known)]
    return Summary(tuple(_most_telling(facts[USER])), tuple(_most_telling(new)))


def _facts(text: str) -> Iterator[str]:
    from sentencex import segment

    # `segment` gets no line ends: at some of them it panics (sentencex 1.0.32 at U+2028).
    for line in text.splitlines():
        for sentence in segment("en", " ".join(line.split())):
            yield from self_statements(sentence.strip(), MAX_PERSONA_SENTENCE_CHARACTERS)


def _most_telling(facts: Iterable[str]) -> list[str]:
    """Greedy maximum coverage (Nemhauser et al., 1978) of the facts' content words, weighted by TF-IDF."""
    first_said: dict[frozenset[str], str] = {}
    for fact in facts:
        first_said.setdefault(_terms(fact), fact)
    by_length = sorted(first_said.items(), key=lambda item: -len(item[0]))
    if not by_length:
        return []
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    weights = TfidfVectorizer(analyzer=content_words, norm=None).fit_transform(fact for _, fact in by_length)
    uncovered, open_facts = np.ones(weights.shape[1]), np.ones(len(by_length), dtype=bool)
    told: list[frozenset[str]] = []
    while open_facts.any() and len(told) < MAX_PERSONA_SENTENCES:
        best = int(np.argmax(np.where(open_facts, weights @ uncovered, -1)))
        open_facts[best] = False
        if not _is_told(terms := by_length[best][0], told):
            told.append(terms)
            uncovered[weights[best].indices] = 0
    return [fact for terms, fact in first_said.items() if terms in told]


def _terms(text: str) -> frozenset[str]:
    """The words by which two sentences are the same."""
    single = (word for each in words(text) for word in spelt_out(each).split())
    return frozenset(word for word in single if word not in _WITHOUT_WEIGHT)


def _is_told(terms: frozenset[str], told: Iterable[frozenset[str]]) -> bool:
    """Whether one of the others has all of these words, or nearly the same, and denies as much."""
    return any(
        not _NEGATIONS & (terms ^ other)
        and (terms <= other or len(terms & other) >= NEAR_DUPLICATE * len(terms | other))
        for other in told
    )
