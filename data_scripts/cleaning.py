"""The clean-up that makes the text of the corpora written English."""

from __future__ import annotations

import html
import re
from functools import cache
from pathlib import Path

_TAG = re.compile(r"</?(?:u|i|b|em|pre|html|cmdf)\s*/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:quot|apos|amp|lt|gt|nbsp|#\d+);", re.IGNORECASE)
_LOST_APOSTROPHE = re.compile(r"(?<=[A-Za-z])\ufffd(?=(?:s|t|m|d|re|ve|ll|em|all)\b)", re.IGNORECASE)
_LOST_DASH = re.compile(r"(?<=[A-Za-z])\ufffd+(?=[A-Za-z])|(?<=\s)\ufffd+-*(?=\s)")
_QUOTES = str.maketrans(
    {"’": "'", "‘": "'", "′": "'", "“": '"', "”": '"', "。": ".", "、": ",", "…": "...", "–": "-"}
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b\ufeff]")
_SPACE = re.compile(r"\s+")


def clean_film_text(text: str) -> str:
    """A line of a film script as written English: no HTML, control characters, double spaces or U+FFFD.

    U+FFFD stands where the corpus lost a character: an apostrophe inside a contraction and a dash between
    words are put back, any other (an accent, a quotation mark) goes.
    """
    if "<" in text:
        text = _TAG.sub("", text)
    text = _ENTITY.sub(lambda match: html.unescape(match.group(0).lower()), text)
    text = _CONTROL.sub(" ", text.translate(_QUOTES))
    if "\ufffd" in text:
        text = _LOST_DASH.sub(" -- ", _LOST_APOSTROPHE.sub("'", text)).replace("\ufffd", "")
    return _SPACE.sub(" ", text).strip().removeprefix("-- ").removesuffix(" --").strip()


_CONTRACTION = re.compile(
    r"(?<=[A-Za-z]) ?' ?(?=(?:s|t|m|d|re|ve|ll|clock)\b(?! ?'))|(?<=n) ?' ?(?=t\b)|(?<=\bma) ?' ?(?=am\b)"
    r"|(?<=\d0) ?' ?(?=s\b)|(?-i:(?<=\bO) ?' ?(?=[A-Z][a-z]))",
    re.IGNORECASE,
)
_CAPITAL_ENDING = re.compile(r"(?<=[a-z]')(?:[STMD]|R[Ee]|V[Ee]|L[Ll])\b|(?<=\bI')(?:[MD]|V[Ee]|L[Ll])\b")
# `can't't` and `can't'`
_DOUBLED_ENDING = re.compile(r"(?<=n't)'(?:t\b|(?= [a-z]))")
# In lower case `i` is rather the word, and so is an `a` at the end.
_INITIALS = re.compile(
    r"(?<![\w.'])(?:(?:Ph|[A-Z])(?: \. [A-Z])+ \.|[a-z](?: \. [a-z])+ \. [b-hj-z]\b(?: \.)?"
    r"|(?!i )[a-z](?: \. [a-z])+ \.)"
)
_HALF_DAY = re.compile(r"(?<![\w.'])([ap]) ?\. ?(m)\b(?: ?\.)*(?=([a-z]?))", re.IGNORECASE)
# `don t`, `i m`: a space took the place of the apostrophe. `mom s` only where all is in lower case.
_SPLIT_CONTRACTION = re.compile(
    r"\b(i(?= (?:m|ve|ll) )|(?:you|we|they)(?= (?:re|ve|ll) )"
    r"|(?:it|he|she|that|what|there|here|who|where|how|let)(?= s )"
    r"|(?:do|does|did|is|was|are|were|have|has|had|ca|wo|could|would|should|ai)n(?= t )) ",
    re.IGNORECASE,
)
_SPLIT_GENITIVE = re.compile(r"(?<=[a-z]{3})(?<!\bfor)(?<!\bhave) (?=s [a-z])")
# PersonaChat made `'s` of every `is`, `that isn't` too.
_SPLIT_NEGATION = re.compile(r"'(?=sn't\b)")
_NUMBER = re.compile(
    r"(?<=\d) (\.) (?=\d{2}\b)|(?<=\d) ?(:) (?=\d{2}(?!\d))|(?<!\d{4})(?<=\d) (,) (?=\d{3}\b)"
)
_ELLIPSIS = re.compile(r"\.(?: ?\.){1,}")
_EMOTICON = r"[:;=]['-]?(?:[()|/]+|[DPpOo](?!\w))"
_BEFORE_MARK = re.compile(rf" +(?!{_EMOTICON})([.,!?;:%)\]])")
# The space is on the wrong side: `yes ,he is`.
_BEFORE_GLUED_MARK = re.compile(r"(?<=\w) +([,!?](?=[A-Za-z])|\.(?=[A-Z]))")
_GLUED_SENTENCE = re.compile(r"(?:(?<=[a-z]{2})|(?<=\b[A-Z][a-z])(?<!\bPh))([.?!,])(?=[A-Z][a-z' ]|I\b)")
_AFTER_OPENING = re.compile(r"(?<![:;=])(?<![:;=]['-])([(\[]) +|([$£]) +(?=\d)")
# A mark after a digit may be that of inches.
_QUOTED = re.compile(r'(?<!\w)" *([^"]*?) *"(?!\w)')
_LOOSE_QUOTE = re.compile(r"(?<!\w)'|'(?!\w)")
_SINGLE_QUOTED = re.compile(r"(?<!\S)' +((?:[^']|(?<=\w)'(?=\w))*?) +'(?!\w)")
_GENITIVE = re.compile(r"(?<=s) '(?= \w)")
_WITHIN_SENTENCE = re.compile(r"[^.!?]+")
_REPEATED_MARK = re.compile(r"([!?,])(?: ?\1)+")
_SENTENCE_START = re.compile(
    r"(^[\"'(]*|(?<!\.\.)(?<![A-Za-z]\.[A-Za-z])(?<!\b[Vv]s)[.!?][\"')]* +[\"'(]*)([a-z])"
)
_FIRST_PERSON = re.compile(r"\bi(?=$|['\s.,!?;:)])(?!\.[a-z]\b)")
_DANGLING = re.compile(r"(?:\s*[,;:]|\s+-+)+$")
_ENDED = re.compile(rf"(?:[.!?\"')]|{_EMOTICON}|[\u2600-\u27bf\U0001f300-\U0001faff]\ufe0f?)$")
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
    (`proper_nouns.txt`) capitalised, and a missing final full stop is added, in the place of a comma, colon
    or dash. Cased text keeps its case. After `vs.`, `a.m.` and `U.S.` the next word keeps its case in any
    text: in the middle of a sentence they are far more frequent than at its end.
    """
    text = _SPACE.sub(" ", _CONTROL.sub(" ", text.translate(_QUOTES))).strip()
    if not any(character.isalnum() for character in text):
        return ""
    text = _capitalised(_with_joined_marks(_with_contractions(text)))
    text = _DANGLING.sub("", text)
    return text if _ENDED.search(text) else text + "."


def _with_contractions(text: str) -> str:
    text = _SPLIT_CONTRACTION.sub(r"\1'", _CONTRACTION.sub("'", text))
    text = _SPLIT_NEGATION.sub(" i", _CAPITAL_ENDING.sub(lambda match: match.group(0).lower(), text))
    text = _ABBREVIATED.sub(lambda match: _expand(match.group(0)), text)
    text = _DOUBLED_ENDING.sub("", text)
    return _SPLIT_GENITIVE.sub("'", text) if text.islower() else text


def _expand(word: str) -> str:
    expanded = _ABBREVIATION_OF[word.lower()]
    if word.isupper():
        return word if word == "IM" else expanded.upper()
    return expanded.capitalize() if word[0].isupper() else expanded


def _with_joined_marks(text: str) -> str:
    text = _HALF_DAY.sub(_half_day, text)
    text = _INITIALS.sub(_initials, text)
    text = _NUMBER.sub(r"\1\2\3", text)
    text = _ELLIPSIS.sub("...", text)
    text = _with_joined_quotes(_QUOTED.sub(r'"\1"', text))
    text = _BEFORE_MARK.sub(r"\1", _BEFORE_GLUED_MARK.sub(r"\1 ", text))
    text = _AFTER_OPENING.sub(r"\1\2", text)
    text = _REPEATED_MARK.sub(r"\1", text)
    return _GLUED_SENTENCE.sub(r"\1 ", text)


def _half_day(match: re.Match[str]) -> str:
    """`a.m.` or `p.m.`, in capitals where both letters are."""
    letters = match.group(1) + match.group(2)
    first, second = letters if letters.isupper() else letters.lower()
    return f"{first}.{second}.{' ' if match.group(3) else ''}"


def _initials(match: re.Match[str]) -> str:
    """`U.S.`; where the text has no capitals, they are capitals all the same."""
    joined = match.group(0).replace(" ", "")
    return joined.upper() if match.string.islower() else joined


def _with_joined_quotes(text: str) -> str:
    """Single quotes joined to what they quote, and one that is alone in its sentence to the `s` before it."""
    if " ' " not in text:
        return text
    if len(_LOOSE_QUOTE.findall(text)) % 2 == 0:
        text = _SINGLE_QUOTED.sub(_single_quoted, text)
    return _WITHIN_SENTENCE.sub(
        lambda match: (
            _GENITIVE.sub("'", match.group(0))
            if len(_LOOSE_QUOTE.findall(match.group(0))) == 1
            else match.group(0)
        ),
        text,
    )


def _single_quoted(match: re.Match[str]) -> str:
    """Both marks after an `s` may be those of two possessives."""
    quoted = match.group(1)
    two_genitives = match.string[: match.start()].endswith("s ") and quoted.endswith("s")
    return match.group(0) if two_genitives else f"'{quoted}'"


def _capitalised(text: str) -> str:
    text = _FIRST_PERSON.sub("I", text)
    text = _proper_noun_pattern().sub(lambda match: _proper_nouns()[match.group(0)], text)
    return _SENTENCE_START.sub(lambda match: match.group(1) + match.group(2).upper(), text)


@cache
def _proper_nouns() -> dict[str, str]:
    lines = (Path(__file__).parent / "proper_nouns.txt").read_text(encoding="utf-8").splitlines()
    words = (word.replace("_", " ") for line in lines if not line.startswith("#") for word in line.split())
    return {word.lower(): word for word in words if word.lower() != word}


@cache
def _proper_noun_pattern() -> re.Pattern[str]:
    longest_first = sorted(_proper_nouns(), key=len, reverse=True)
    return re.compile(r"(?<![\w'])(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)")
