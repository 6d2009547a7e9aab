"""The log of `chat.feedback`, read back: what is no event of ours is left out and counted."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chat.cli import UserError
from chat.feedback import LIKED, REPLY

# Seconds and tokens, of which a reply has few; numbers may be of any size in JSON.
MOST = 1e9


@dataclass(frozen=True)
class Reply:
    """
    Attributes:
        time: in UTC.
        message_words: of what was asked, by spaces.
        tokens: of the reply.
        seconds: from the message to the whole reply.
        is_fallback: our own sentence, since the model had no usable one.
    """

    time: datetime
    conversation: str
    message_words: int
    tokens: int
    seconds: float
    is_fallback: bool


@dataclass(frozen=True)
class Rating:
    """What somebody thought of a reply in the end: True is liked, False disliked."""

    time: datetime
    liked: bool


@dataclass
class Log:
    """
    Attributes:
        ratings: of each rated reply, the last; those that were taken back are not among them.
        skipped: lines that are no event of ours: half written, or somebody else's.
    """

    replies: list[Reply] = field(default_factory=list)
    ratings: list[Rating] = field(default_factory=list)
    files: int = 0
    skipped: int = 0


def read_log(folder: str, flag: str) -> Log:
    """Reads all `.jsonl` files in a folder, such as FEEDBACK_FOLDER or a copy of FEEDBACK_DATASET.

    Raises:
        UserError: there is no folder, no such file in it, or no event in them.
    """
    path = Path(os.path.expanduser(folder))
    if not path.is_dir():
        raise UserError(
            f"{flag} {folder}: no such folder; name the FEEDBACK_FOLDER of the page, which appears with the "
            "first message that somebody allows to keep"
        )
    files = sorted(path.rglob("*.jsonl"))
    if not files:
        raise UserError(f"{flag} {folder}: has no .jsonl files; nobody has allowed to keep messages yet")
    log = Log(files=len(files))
    opinions: dict[tuple, list[tuple[datetime, bool | None]]] = {}
    for file in files:
        _read_file(file, log, opinions, flag)
    if not log.replies and not opinions:
        raise UserError(
            f"{flag} {folder}: no event of the chat in {len(files)} files, {log.skipped} lines skipped; name "
            "another folder"
        )
    last = (max(each, key=lambda given: given[0]) for each in opinions.values())
    log.ratings = [Rating(time, liked) for time, liked in last if liked is not None]
    return log


def _read_file(file: Path, log: Log, opinions: dict, flag: str) -> None:
    try:
        with open(file, "rb") as lines:
            for line in lines:
                if line.strip() and not _take(line, log, opinions):
                    log.skipped += 1
    except OSError as error:
        raise UserError(f"{flag} {file}: cannot be read ({error.strerror}); make it readable") from None


def _take(line: bytes, log: Log, opinions: dict) -> bool:
    """Takes an event; whether the line was one."""
    try:
        event = json.loads(line)
        time = datetime.fromisoformat(event["time"])
        # Years that no plot has.
        if time.tzinfo is None or not 1970 <= time.year < 2200:
            return False
        time = time.astimezone(UTC)
        if event["event"] == REPLY:
            log.replies.append(_reply(event, time))
        elif event["event"] == LIKED:
            liked = event["liked"]
            if not (liked is None or isinstance(liked, bool)):
                return False
            about = (_text(event[name]) for name in ("conversation", "message", "reply"))
            opinions.setdefault(tuple(about), []).append((time, liked))
        else:
            return False
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    return True


def _reply(event: dict[str, Any], time: datetime) -> Reply:
    if not isinstance(event["fallback"], bool):
        raise TypeError
    return Reply(
        time,
        _text(event["conversation"]),
        len(_text(event["message"]).split()),
        int(_number(event["tokens"])),
        _number(event["seconds"]),
        event["fallback"],
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST:
        raise TypeError
    return value
