"""Folders that appear whole or not at all: a killed run leaves nothing that a later step takes for whole."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chat.cli import UserError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def whole_folder(output: str | Path, marker: str, flag: str) -> Iterator[Path]:
    """An empty folder to fill; it takes the place of `output` when the block ends without an error.

    Args:
        output: the final place. An earlier folder there is replaced, but only one that holds `marker`.
        marker: a file that every whole folder of this kind has.
        flag: the flag that gave `output`, for errors.

    Raises:
        UserError: `output` holds something else, or cannot be written.
    """
    check_replaceable(output, marker, flag)
    # What a link names is replaced, not the link.
    place = Path(os.path.realpath(output))
    scratch, replaced = (place.parent / f".{place.name}.{state}" for state in ("incomplete", "replaced"))
    try:
        for leftover in (scratch, replaced):
            shutil.rmtree(leftover, ignore_errors=True)
        scratch.mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"{flag} {output}: cannot be written ({error.strerror}); give another folder"
        ) from None
    try:
        yield scratch
    except Exception as error:
        shutil.rmtree(scratch, ignore_errors=True)
        if not is_write_failure(error):
            raise
        raise UserError(
            f"{flag} {output}: cannot be written ({str(error).splitlines()[0]}); make room, or give another "
            "folder"
        ) from error
    try:
        if place.exists():
            os.replace(place, replaced)
        os.replace(scratch, place)
    except OSError as error:
        raise UserError(
            f"{flag} {output}: cannot be replaced ({error.strerror}); what was to stand there is in {scratch}"
        ) from error
    shutil.rmtree(replaced, ignore_errors=True)


def is_write_failure(error: Exception) -> bool:
    """Whether the error says that a disk is full or takes no more.

    Python says OSError, safetensors an error of its own, and torch's archive writer RuntimeError.
    """
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    return type(error).__name__ == "SafetensorError" or "inline_container" in str(error)


def full_disk(error: BaseException | None) -> OSError | None:
    """What says so, of an error and the errors that it came from."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return error
        error = error.__cause__ or error.__context__
    return None


def check_replaceable(output: str | Path, marker: str, flag: str) -> None:
    """Raises UserError unless `output` is free, empty, or a folder that an earlier run of ours wrote."""
    output = Path(output)
    try:
        is_here = output.resolve() == Path.cwd()
        ours = output.is_dir() and ((output / marker).is_file() or not any(output.iterdir()))
        is_taken = output.exists() and not ours
    except OSError as error:
        raise UserError(f"{flag} {output}: cannot be read ({error.strerror}); give another folder") from None
    if (output / ".git").exists():
        raise UserError(f"{flag} {output}: is a git repository, whose history would go; give another folder")
    if is_here:
        raise UserError(f"{flag} {output}: is the folder that this runs in; give another one")
    if is_taken:
        raise UserError(f"{flag} {output}: already holds something else (no `{marker}`); give another folder")
