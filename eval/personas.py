"""Personas from a file: our own in `personas.jsonl`, or a user's.

A .jsonl file has a persona a line, `{"persona": ["I have two cats.", "I am a nurse."]}`. Any other file is
text: a sentence a line, an empty line between two personas.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chat.cli import UserError
from chat.jsonl import parsed
from chat.session import MAX_PERSONA_SENTENCE_CHARACTERS, MAX_PERSONA_SENTENCES

OWN_PERSONAS = Path(__file__).parent / "personas.jsonl"
NumberedLine = tuple[int, str]


def read_personas(path: str | Path) -> list[tuple[str, ...]]:
    """The different personas of a file, in its order.

    Raises:
        UserError: no such file, a line that is no persona or beyond the chat's limits (named by its number),
            or fewer than two personas.
    """
    try:
        # Windows may put a mark before the first character, which would be a part of the first sentence.
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise UserError(f"--personas {path}: {error.strerror}; give a file of personas") from None
    except UnicodeDecodeError as error:
        raise UserError(f"--personas {path}: not UTF-8 text ({error.reason}); save it as UTF-8") from None
    is_json = Path(path).suffix == ".jsonl"
    read = _from_json_lines(lines, f"--personas {path}") if is_json else _from_text(lines)
    try:
        personas = list(dict.fromkeys(map(_within_limits, read)))
    except ValueError as error:
        raise UserError(f"--personas {path}: {error}; mend it") from None
    if len(personas) < 2:
        raise UserError(f"--personas {path}: fewer than two different personas; give at least two")
    return personas


def _from_json_lines(lines: list[str], source: str) -> Iterator[list[NumberedLine]]:
    numbers = (number for number, line in enumerate(lines, start=1) if line.strip())
    for number, sentences in zip(numbers, parsed(lines, _sentences, source, "a persona"), strict=True):
        yield [(number, sentence) for sentence in sentences]


def _sentences(record: object) -> list[str]:
    persona = record.get("persona") if isinstance(record, dict) else None
    if not isinstance(persona, list) or not all(isinstance(sentence, str) for sentence in persona):
        raise ValueError('expected {"persona": ["I have two cats.", ...]}')
    sentences = [" ".join(sentence.split()) for sentence in persona if sentence.strip()]
    if not sentences:
        raise ValueError("it has no sentence")
    return sentences


def _from_text(lines: list[str]) -> Iterator[list[NumberedLine]]:
    persona: list[NumberedLine] = []
    for number, line in enumerate([*lines, ""], start=1):
        if line.strip():
            persona.append((number, " ".join(line.split())))
        elif persona:
            yield persona
            persona = []


def _within_limits(persona: list[NumberedLine]) -> tuple[str, ...]:
    """The persona's sentences; the chat would cut what is too long, and the transcript would not say so."""
    if len(persona) > MAX_PERSONA_SENTENCES:
        number, _ = persona[MAX_PERSONA_SENTENCES]
        raise ValueError(f"line {number} goes beyond {MAX_PERSONA_SENTENCES} sentences in one persona")
    for number, sentence in persona:
        if len(sentence) > MAX_PERSONA_SENTENCE_CHARACTERS:
            raise ValueError(
                f"line {number} has a sentence of {len(sentence)} characters, more than the "
                f"{MAX_PERSONA_SENTENCE_CHARACTERS} that the chat takes"
            )
    return tuple(sentence for _, sentence in persona)
