"""Dialogues as JSON lines: a user's own corpus, and the form in which `prepare` keeps the cleaned text.

One object a line:

    {"turns": [{"role": "user", "text": "Hi!"}, {"role": "assistant", "text": "Hello!"}],
     "persona": ["I have two cats."], "group": "any", "split": "train", "source": "mine"}

Only `turns` is required. With a `persona` the assistant's turns are learnt; without one, either side's.
Dialogues of one `group` are never divided between training and validation; `split` (`train` or `val`) decides
by hand. A turn may carry `distractors`, a list of false replies for the evaluation's hits@1.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from chat.cli import UserError
from chat.dialogue import ASSISTANT, SPLITS, USER, Dialogue, alternating_turns, with_distractors

NAME = "jsonl"
EXAMPLE = '{"turns": [{"role": "user", "text": "Hi!"}, {"role": "assistant", "text": "Hello!"}]}'
Parsed = TypeVar("Parsed")


def read(path: str | Path, dropped: Counter | None = None, flag: str = "--data") -> Iterator[Dialogue]:
    """Dialogues of a JSONL file.

    Raises:
        UserError: no such file, or a line that is not a dialogue (named by its number).
    """
    dropped = Counter() if dropped is None else dropped
    with _opened(path, flag) as lines:
        yield from parsed(
            lines,
            lambda record: _dialogue(record, dropped),
            f"{flag} {path}",
            "a dialogue",
            # Logs mostly come in another form than ours.
            remedy=f"mend it, or bring each line into the form {EXAMPLE} (README, Data)",
        )


def parsed(
    lines: Iterable[str | bytes],
    parse: Callable[[Any], Parsed],
    source: str,
    what: str,
    remedy: str = "mend it",
) -> Iterator[Parsed]:
    """What `parse` makes of each line's JSON; empty lines are passed over.

    Args:
        source: flag and path, for errors.
        what: the lines should be, for errors.
        remedy: what to do where one is not.

    Raises:
        UserError: a line is something else (named by its number).
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield parse(_loaded(line))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                reason = f"missing {error}" if isinstance(error, KeyError) else str(error)
                raise UserError(f"{source}: line {number} is not {what} ({reason}); {remedy}") from None


def _loaded(line: str | bytes) -> Any:
    """
    Raises:
        ValueError: the line is no JSON, or has half of a character, as a text that was cut within an emoji.
        RecursionError: it is nested too deeply.
    """
    record = json.loads(line)
    # Halves are escaped in JSON, or bytes from 0xED on, as in the CESU-8 that Java and Oracle call UTF-8.
    if any(sign in line for sign in ((b"\\u", b"\xed") if isinstance(line, bytes) else ("\\u",))):
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    return record


def _opened(path: str | Path, flag: str) -> BinaryIO:
    """In bytes, so that a line of another encoding is named, too."""
    try:
        return open(path, "rb")
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise UserError(
            f"{flag} {path}: {reason}; give a file of dialogues as JSON lines (see the README)"
        ) from None


def write(dialogues: Iterable[Dialogue], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(dialogue.to_json(), ensure_ascii=False) + "\n" for dialogue in dialogues)


def _dialogue(record: dict[str, Any], dropped: Counter) -> Dialogue:
    if not isinstance(record, dict):
        raise ValueError("it must be an object; give each dialogue a line of its own")
    for turn in record["turns"]:
        if turn["role"] not in (USER, ASSISTANT):
            raise ValueError(f"role `{turn['role']}` is neither user nor assistant")
    persona = record.get("persona") or []
    if isinstance(persona, str):
        raise ValueError("`persona` must be a list of sentences")
    if not all(_are_texts(turn.get("distractors") or ()) for turn in record["turns"]):
        raise ValueError("`distractors` must be a list of replies")
    split = record.get("split") or ""
    if split not in ("", *SPLITS):
        raise ValueError(f"split `{split}` is neither train nor val")
    turns = alternating_turns([(turn["role"], turn["text"].strip()) for turn in record["turns"]], dropped)
    distractors = {turn["text"].strip(): tuple(turn.get("distractors") or ()) for turn in record["turns"]}
    return Dialogue(
        source=_name(record.get("source")) or NAME,
        turns=with_distractors(turns, distractors),
        persona=tuple(said for sentence in persona if (said := sentence.strip())),
        group=_name(record.get("group")),
        split=split,
    )


def _are_texts(given: Any) -> bool:
    return isinstance(given, list | tuple) and all(isinstance(each, str) for each in given)


def _name(given: Any) -> str:
    """What a record calls something, which may be a number; empty where it calls it nothing."""
    return "" if given is None else str(given).strip()
