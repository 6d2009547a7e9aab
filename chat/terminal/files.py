"""Conversations in files: read with limits, written whole or not at all."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from chat.folders import write_whole
from chat.terminal import BadCommand

MAX_FILE_BYTES = 2**24


@dataclass(frozen=True)
class KeptFile:
    """A file as this program last read or wrote it."""

    path: Path
    content: bytes

    def is_unchanged(self) -> bool:
        return self.path.read_bytes() == self.content


def path_from(typed: str, command: str) -> Path:
    """The path that a user typed, perhaps in quotes.

    Raises:
        BadCommand: there is none.
    """
    if len(typed) > 1 and typed[0] == typed[-1] and typed[0] in "\"'":
        typed = typed[1:-1]
    if not typed:
        raise BadCommand(f"{command}: name a file, such as {command} talk.json")
    try:
        return Path(os.path.realpath(Path(typed).expanduser()))
    except (RuntimeError, ValueError) as error:
        raise BadCommand(f"{command} {typed}: no such path ({error})") from None


def read_file(path: Path) -> KeptFile:
    """
    Raises:
        BadCommand: there is nothing to read, or more than `MAX_FILE_BYTES`.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadCommand(f"/load {path}: is no file")
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadCommand(f"/load {path}: cannot be read ({error.strerror})") from None
    if len(content) > MAX_FILE_BYTES:
        raise BadCommand(f"/load {path}: has more than {MAX_FILE_BYTES // 2**20} MiB; it is no conversation")
    return KeptFile(path, content)


def write_file(path: Path, text: str, own: KeptFile | None, may_replace: bool) -> KeptFile:
    """Writes the whole file, or nothing.

    Args:
        own: what may be replaced without asking, if nobody has changed it since.
        may_replace: replaces any other file, too.

    Raises:
        BadCommand: another file is there, or it cannot be written.
    """
    content = text.encode("utf-8")
    try:
        if path.exists() and not path.is_file():
            raise BadCommand(f"/save {path}: is no file; give another name")
        is_own = own is not None and own.path == path
        if path.exists() and not may_replace and not (is_own and own.is_unchanged()):
            what = "was changed by somebody else" if is_own else "exists"
            raise BadCommand(f"/save {path}: {what}; `/save! FILE` replaces it")
        # It tells what somebody said.
        write_whole(path, content, is_private=True)
    except OSError as error:
        raise BadCommand(f"/save {path}: cannot be written ({error.strerror}); give another place") from None
    return KeptFile(path, content)
