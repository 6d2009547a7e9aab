"""Folders and files that appear whole or not at all: a killed run leaves nothing that is taken for whole."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from chat.cli import UserError, causes, first_line

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_ROOM = (*DISK_FULL, errno.EROFS)


@dataclass(frozen=True)
class Contents:
    """What folders of one kind hold, which tells an earlier one from what must not be replaced.

    Attributes:
        marker: a file that every whole one has.
        says: what stands in that file, where folders of others have one by its name, too.
        further: patterns of the names of all else that may be in it; hidden files may anyway.
    """

    marker: str
    further: tuple[str, ...] = ()
    says: str = ""

    def are_in(self, folder: Path) -> bool:
        """Whether the folder has the marker."""
        marker = folder / self.marker
        return marker.is_file() and self.says in (marker.read_text("utf-8", "replace") if self.says else "")

    def foreign_in(self, folder: Path) -> str | None:
        """The name of something that no such folder holds."""
        ours = (self.marker, *self.further, ".*")
        names = sorted(path.name for path in folder.iterdir())
        return next((name for name in names if not any(fnmatch(name, each) for each in ours)), None)


@contextmanager
def whole_folder(output: str | Path, contents: Contents, flag: str) -> Iterator[Path]:
    """An empty folder to fill; it takes the place of `output` when the block ends without an error.

    Args:
        output: the final place. An earlier folder there is replaced, but only one of the same kind.
        contents: of this kind of folder.
        flag: the flag that gave `output`, for errors.

    Raises:
        UserError: `output` holds something else, cannot be written, or is being written by another process.
    """
    check_replaceable(output, contents, flag)
    place, (scratch, replaced, lock) = _places(output, "incomplete", "replaced", "writing")
    with ExitStack() as held:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            taken = f"{flag} {output}: another process writes there; wait for its end, or give another folder"
            held.enter_context(locked(lock, taken))
            for leftover in (scratch, replaced):
                shutil.rmtree(leftover, ignore_errors=True)
            scratch.mkdir()
        except OSError as error:
            raise not_writable(output, flag, error) from None
        try:
            yield scratch
        except BaseException as error:
            shutil.rmtree(scratch, ignore_errors=True)
            if not is_write_failure(error):
                raise
            raise UserError(
                f"{flag} {output}: cannot be written ({first_line(error)}); make room, or give another folder"
            ) from error
        _take_place(scratch, place, replaced, f"{flag} {output}")


def _places(output: str | Path, *states: str) -> tuple[Path, list[Path]]:
    """Where `output` really is, as what a link names is replaced and not the link; and places beside it."""
    place = Path(os.path.realpath(output))
    return place, [place.parent / f".{place.name}.{state}" for state in states]


def check_writable(output: str | Path, flag: str) -> None:
    """Tries, before long work, whether `whole_folder` could write at its end; leaves nothing behind.

    Raises:
        UserError: no folder can be made there.
    """
    _, [tried] = _places(output, "tried")
    try:
        with gone_if_empty(tried):
            pass
    except OSError as error:
        raise not_writable(output, flag, error) from None


@contextmanager
def gone_if_empty(folder: Path) -> Iterator[None]:
    """Makes a folder; after the block it goes, and each parent that was made for it, where nothing is in it.

    Raises:
        OSError: it cannot be made.
    """
    made = [folder, *(parent for parent in folder.parents if not parent.exists())]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for each in made:
            with suppress(OSError):
                each.rmdir()


def not_writable(output: str | Path, flag: str, error: OSError) -> UserError:
    """What the user is told where `output` could not be written before any work was done."""
    return UserError(f"{flag} {output}: cannot be written ({error.strerror}); give another folder")


def _take_place(scratch: Path, place: Path, replaced: Path, told: str) -> None:
    try:
        if place.exists():
            os.replace(place, replaced)
        os.replace(scratch, place)
    except OSError as error:
        raise UserError(
            f"{told}: cannot be replaced ({error.strerror}); what was to stand there is in {scratch}"
        ) from error
    shutil.rmtree(replaced, ignore_errors=True)


def write_whole(path: str | Path, content: bytes, is_private: bool = False) -> None:
    """Writes a file that appears whole, on the disk and under its name at once, or not at all.

    Of a file that is there the rights stay; of a link, what it names is replaced.

    Args:
        is_private: whether a new file is its owner's alone.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    place = Path(os.path.realpath(path))
    scratch = place.with_name(f".{secrets.token_hex(8)}.incomplete")
    try:
        with open(scratch, "xb", opener=partial(os.open, mode=0o600 if is_private else 0o666)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if place.exists():
            shutil.copymode(place, scratch)
        os.replace(scratch, place)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


@contextmanager
def locked(file: Path, taken: str) -> Iterator[None]:
    """Holds a lock file while the block lasts; a process that was killed holds it no longer.

    Args:
        taken: what is wrong where another process holds it.

    Raises:
        UserError: another process holds it.
        OSError: it cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(taken) from None
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink()
        lock.release()


def sha256_of(file: str | Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def sizes(folder: Path, except_for: str) -> dict[str, int]:
    """Bytes of every file in `folder`, by its path in it, but for the file `except_for`."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    return {path: size for path, size in found.items() if path != except_for}


def is_whole(folder: Path, expected: dict[str, int]) -> bool:
    """Whether `folder` still holds the files of `sizes`; others may have come to them."""
    paths = {folder / path: size for path, size in expected.items()}
    return all(path.is_file() and path.stat().st_size == size for path, size in paths.items())


def is_write_failure(error: BaseException) -> bool:
    """Whether the error says that a disk is full or takes no more.

    Python says OSError, safetensors an error of its own, torch's archive writer and OpenVINO RuntimeError.
    """
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    told = str(error)
    return type(error).__name__ == "SafetensorError" or "inline_container" in told or "iostream error" in told


def full_disk(error: BaseException) -> OSError | None:
    """The error that says that a disk is full or takes no more: this one, or one that it came from."""
    return next((each for each in causes(error) if isinstance(each, OSError) and each.errno in NO_ROOM), None)


def check_replaceable(output: str | Path, contents: Contents, flag: str) -> None:
    """Raises UserError unless `output` is free, empty, or a folder that an earlier run of ours wrote."""
    output = Path(output)
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            # Of links in a circle all that follows says that nothing is there.
            output.stat()
        is_here = Path(os.path.realpath(output)) == Path.cwd()
        is_folder = output.is_dir()
        ours = is_folder and (contents.are_in(output) or not any(output.iterdir()))
        is_taken = output.exists() and not ours
        foreign = contents.foreign_in(output) if is_folder else None
    except OSError as error:
        raise UserError(f"{flag} {output}: cannot be read ({error.strerror}); give another folder") from None
    if (output / ".git").exists():
        raise UserError(f"{flag} {output}: is a git repository, whose history would go; give another folder")
    if os.path.ismount(os.path.realpath(output)):
        raise UserError(f"{flag} {output}: is a mounted disk, which cannot be replaced; give a folder on it")
    if is_here:
        raise UserError(f"{flag} {output}: is the folder that this runs in; give another one")
    if is_taken:
        raise UserError(
            f"{flag} {output}: already holds something else (no `{contents.marker}` of ours); give another "
            "folder"
        )
    if foreign:
        raise UserError(
            f"{flag} {output}: would be replaced, and holds `{foreign}`, which no earlier run wrote; give "
            "another folder, or move that away"
        )


def link_or_copy(source: str, target: str) -> None:
    """The file under a second name, without a copy of its bytes where the file system can do that."""
    try:
        os.link(source, target)
    except OSError:
        # Some file systems have no hard links.
        shutil.copyfile(source, target)
