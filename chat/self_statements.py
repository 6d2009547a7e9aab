"""Finds what a sentence states about its speaker: "I have two cats.", but not "I see." or "You are nice."

The rules know English words and no grammar; they would rather miss a statement than take a remark for one.
What they find is what was said, word for word.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

_FIRST_PERSON = r"(?:i|we|my|our|i'?m|i'?ve|i'd|i'll|we're|we've|we'd|we'll)\b(?!')"
_AUXILIARY = r"(?:do|does|did|are|is|was|were|can|could|will|would|should|have|has|am|may)"
_SUBJECT = r"(?:you|i|we|they|he|she|it|there|your|my|our|the|that|this|these|those|any\w*)"
_QUESTION = (
    r"(?:(?:what|who|whose|which|why|how|wbu|hbu)\b"
    rf"|(?:when|where)\s+{_AUXILIARY}\b|{_AUXILIARY}(?:n't)?\s+{_SUBJECT}\b)"
)
_MARKS = r"(?:(?<![,;:!])[,;:!]++|(?<!\.)\.{2,}+|…|\s[-\u2013\u2014]+(?=\s))"
_INTERJECTION = (
    r"(?:and|but|so|or|also|oh|ah|aw|well|yes|yeah|yep|yea|no|nope|ok|okay|hey|hi|hello|lol|haha|wow|cool"
    r"|nice|great|awesome|sure|though)"
)
# Where one statement ends and the next begins inside a sentence; what stands between belongs to neither.
_BETWEEN_CLAUSES = re.compile(
    rf"(?:\s?{_MARKS}\s*(?:{_INTERJECTION}\b,?\s+){{0,3}}|\s+(?:and|but|so)\s+)"
    rf"(?=(?:{_FIRST_PERSON}|{_QUESTION}|you\b|your\b|thank|if\b|because\b))"
    r"|\s+(?=(?:what|how)\s+about\s+you|(?:what|where|how|who)\s+(?:do|are)\s+you\b|(?:do|are|have)\s+you\b)"
)
_LEADING = re.compile(rf"(?:{_INTERJECTION}\b[,.!;:]*\s+){{1,3}}(?={_FIRST_PERSON})")
# A clause that opens with one of these makes no sense without the clause that it depends on.
_SUBORDINATE = re.compile(
    r"(?:if|when|whenever|while|because|although|though|since|after|before|until|once)\b"
)
_ASKS = re.compile(rf"(?:{_INTERJECTION}\b[,!]?\s+){{0,3}}{_QUESTION}")
_SPEAKS_OF_SELF = re.compile(rf"(?<![\w']){_FIRST_PERSON}")
_SPEAKS_OF_OTHER = re.compile(
    r"(?<![\w'])(?:you|your|yours|yourself|you're|youre|you've|you'd|you'll|ya|u|ur)\b"
)
_COURTESY = re.compile(r"\b(?:thank you|(?:as )?you know)\b")
_REACTION = re.compile(r"\b(?:sorry|congratulations|excuse me|nice to meet)\b")
# "I think that is fun" speaks of something else, unless its object speaks of oneself again.
_OPINION = re.compile(
    r"\bi(?:'m|'ve|'d|'ll)?"
    r"(?:\s+(?:am|do|did|don't|dont|can|could|can't|would|just|also|really|always|only|still|have))*"
    r"\s+(?:bet|guess|hope|heard|hear|wonder|wondering|think|thought|believe|imagine|suppose|mean|meant|agree"
    r"|wish|assume|say|said|sure|glad|see|doubt)\b"
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|s|d)$")
_AFTER_QUESTION_MARK = string.punctuation.replace("?", "") + string.whitespace + "…”»"
# Only what keeps a text's length: a place in the plain text is the same place in what was said.
_PLAIN = str.maketrans(string.ascii_uppercase + "\u2018\u2019", string.ascii_lowercase + "''")
# They tell nothing about a speaker, however they are put together.
_EMPTY_WORDS = frozenset(
    """
    a able about absolutely actually again ago agree ah all already alright also always am an and another
    any anymore anyone anything anyway anywhere appreciate are aren't around as ask asking at aw aww away
    awesome awhile back bad be because been before being believe best bet better both but by bye came can
    can't cannot cant cause chat chatting check come coming common cool cos could couldn't course cute
    definitely did didn't didnt do does doesn't doing don't done dont down dream each either else enough even
    ever every everyone everything exactly excited except fair far feel feeling feels few fine first for
    forget forgot forward from fun funny get gets getting give glad go god going gonna good goodness got gotta
    great guess had hadn't haha happen happy hard has hasn't hate have haven't having he hear heard hello help
    her here hey hi him his honest honestly hope hopefully how however hurry i i'd i'll i'm i've idea if im
    imagine in interested interesting into is isn't it it'll it's its ive joke joking just kidding kind kinda
    know last later least leave less let let's like likes little ll lol long look looking lot lots love luck
    made make makes many matter may maybe me mean means meant meet meeting message might mind mine moment more
    most much must my myself name need never new next nice no nope not nothing now of off oh ok okay on once
    one ones only or other others our out over own pardon people perfect perhaps please pleasure point pretty
    probably problem question quite rather re ready really recommend relate remember right said same saw say
    saying says see seem seems seen serious seriously shall she should shouldn't show so some someone
    something sometime sometimes soon sorry sort sound sounds still stuff such suppose supposed sure surprised
    take talk talking tell telling than thank thanks that that's thats the their them then there there's these
    they they're thing things think thinking this those though thought to today together told tomorrow tonight
    too totally tried true truth try trying u understand until up ur us use used ve very wait want wanted was
    wasn't way we we'd we'll we're we've weird well were weren't what what's whatever when where which while
    who why will wish with without won't wonder wonderful wondering word words work worries worry would
    wouldn't wow wrong yea yeah yep yes yesterday yet you
    """.split()  # noqa: SIM905
)


def self_statements(sentence: str, max_characters: int) -> Iterator[str]:
    """What a sentence states about its speaker: all of it, the part that does, or nothing.

    Args:
        sentence: without line ends.
        max_characters: what is longer comes as its single statements; one that is too long alone is left out.
    """
    stated = [span for span in _clauses(sentence) if _is_self_statement(sentence[slice(*span)])]
    if not stated:
        return
    whole = (stated[0][0], stated[-1][1])
    for start, end in [whole] if whole[1] - whole[0] <= max_characters else stated:
        if end - start <= max_characters:
            yield sentence[start:end].strip()


def words(text: str) -> list[str]:
    """The words in lower case, with typewriter's apostrophes."""
    return _WORD.findall(_plain(text))


def content_words(text: str) -> list[str]:
    """The different words that tell something about a speaker, without a final s, d or ing."""
    return list(dict.fromkeys(_ENDING.sub("", word) for word in words(text) if word not in _EMPTY_WORDS))


def _plain(text: str) -> str:
    return text.translate(_PLAIN)


def _clauses(sentence: str) -> list[tuple[int, int]]:
    """Where each clause begins and ends; a subordinate one that comes first is part of the next."""
    text = _plain(sentence)
    spans, start = [], 0
    for match in _BETWEEN_CLAUSES.finditer(text):
        if not _SUBORDINATE.match(text, start):
            spans.append((start, match.start()))
            start = match.end()
    spans.append((start, len(text)))
    return [(match.end() if (match := _LEADING.match(text, *span)) else span[0], span[1]) for span in spans]


def _is_self_statement(clause: str) -> bool:
    text = _plain(clause).strip()
    if _ASKS.match(text) or text.rstrip(_AFTER_QUESTION_MARK).endswith("?") or _REACTION.search(text):
        return False
    text = _OPINION.sub(" ", _COURTESY.sub(" ", text))
    if _SPEAKS_OF_OTHER.search(text) or not _SPEAKS_OF_SELF.search(text):
        return False
    return bool(content_words(text))
