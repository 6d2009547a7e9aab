"""Paths as they may be published: of one on this machine, the last part alone; and files that may be."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from chat.cli import UserError

Arguments = TypeVar("Arguments")


def without_folders(value: str) -> str:
    """A local path, or the path in NAME=PATH, as its last part: a dataset may be published, a disk not."""
    if Path(value).exists():
        return _last_part(value)
    name, equals, path = value.partition("=")
    return name + equals + (_last_part(path) if path and Path(path).exists() else path)


def _last_part(path: str) -> str:
    return Path(os.path.abspath(path)).name


def published(name: str) -> str:
    """A model's name as a reader elsewhere can use it: of a path on this machine only the last part."""
    return _last_part(name) if name.startswith(("/", "~", ".")) else name


def with_last_parts(arguments: Arguments, paths: tuple[str, ...]) -> Arguments:
    """The same arguments with the last part of each path on this machine alone.

    Args:
        arguments: a dataclass.
        paths: names of the fields that may be paths.
    """
    given = {name: Path(path) for name in paths if (path := getattr(arguments, name))}
    return replace(
        arguments, **{name: f"./{path.name}" for name, path in given.items() if path.is_absolute()}
    )


def files_to_publish(folder: Path, patterns: Iterable[str], flag: str) -> list[Path]:
    """The files of a folder that match one of the patterns.

    Raises:
        UserError: a link leads out of it: whoever made the folder could have private files here published.
    """
    found = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    own = folder.resolve()
    homes = [own]
    if own.parent.name == "snapshots":
        # The cache of the Hub's client: files are links to the repository's blobs, or on to those of all.
        homes += [own.parents[1] / "blobs", own.parents[2] / "blobs"]
    for path in found:
        if not any(path.resolve().is_relative_to(home) for home in homes):
            raise UserError(
                f"{flag} {folder}: {path.relative_to(folder)} is a link to {path.resolve()}, which would be "
                "published; put the file itself there, or remove the link"
            )
    return found
