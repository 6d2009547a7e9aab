"""What a dataset was made from, as checksums: where nothing of it has changed, there is nothing to prepare.

Nothing but the standard library is loaded here: the answer is there before `datasets` or ConvoKit would
be loaded.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from chat.cli import UserError
from chat.folders import sha256_of
from chat.published_paths import without_folders
from data_scripts.provenance import PROVENANCE

DIGESTED_BYTES = 64 * 2**20
LIBRARIES = ("convokit", "datasets", "pyarrow", "tokenizers", "transformers")
CODE = Path(__file__).parent
CHAT_CODE = (
    "dialogue.py",
    "jsonl.py",
    "model_files.py",
    "template.py",
    "sequences.py",
    "chat_template.jinja",
    "hub/loading.py",
)
BY_NAME = "by name"


def of_inputs(options: dict, corpora: Iterable[str], tokenizer: str | None) -> dict[str, str]:
    """Checksums of all that decides what is in a dataset, by what it is.

    What is downloaded has no files here and is known by its name alone.

    Args:
        options: flags and their values.
        corpora: `NAME` or `NAME=PATH`; of a path, all files in it count.
        tokenizer: Hub id, or a folder of which the files count; None where one is learnt.

    Raises:
        UserError: a file may not be read.
    """
    versions = [[library, _version(library)] for library in LIBRARIES]
    code = [
        *sorted(path for path in CODE.iterdir() if path.suffix in (".py", ".txt", ".yaml")),
        *(CODE.parent / "chat" / name for name in CHAT_CODE),
    ]
    found = {
        "options": _digest(json.dumps(options, sort_keys=True)),
        "code": checksum_of(code, CODE.parent),
        "libraries": _digest(json.dumps(versions)),
    }
    for specification in corpora:
        path = specification.partition("=")[2]
        name = f"--corpora {without_folders(specification)}"
        if specification in PROVENANCE and PROVENANCE[specification].is_made_here:
            checksum = found["code"]
        else:
            checksum = _of_path(Path(path), "--corpora", deep=True) if path else BY_NAME
        found[name] = _digest(found[name] + checksum) if name in found else checksum
    if tokenizer is not None:
        found["--tokenizer"] = _of_path(Path(tokenizer), "--tokenizer", deep=False)
    return found


def changes(found: dict[str, str], before: dict[str, str]) -> list[str]:
    """Names of what is not as it was."""
    return sorted(name for name in {*found, *before} if found.get(name) != before.get(name))


def _of_path(path: Path, flag: str, deep: bool) -> str:
    if not path.exists():
        return BY_NAME
    if not path.is_file() and not path.is_dir():
        # A pipe is read once, and may bring something else each time.
        return secrets.token_hex()
    root = path if path.is_dir() else path.parent
    try:
        return checksum_of(_files(path, deep), root)
    except OSError as error:
        raise UserError(
            f"{flag} {path}: {error.filename} cannot be read ({error.strerror}); mend that, or give another"
        ) from None


def checksum_of(files: Iterable[Path], root: Path) -> str:
    """One checksum of the files, by their paths in `root`."""
    return _digest(json.dumps([[file.relative_to(root).as_posix(), _of_file(file)] for file in files]))


def _files(path: Path, deep: bool) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(each for each in (path.rglob("*") if deep else path.iterdir()) if each.is_file())


def _of_file(path: Path) -> list:
    """A file's checksum; of a large one, size and time of change, since reading it would take seconds."""
    status = path.stat()
    if status.st_size > DIGESTED_BYTES:
        return [status.st_size, status.st_mtime_ns]
    return [status.st_size, sha256_of(path)]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "absent"
