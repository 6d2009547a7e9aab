"""Where the engine finds a model's OpenVINO export: beside its weights, or made once and kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from chat.cli import UserError
from chat.folders import Contents, is_whole, sha256_of, sizes, whole_folder

EXPORT_FILE = "export.json"
MODEL_FILE = "openvino_model.xml"
EXPORT = Contents(EXPORT_FILE, ("*.json", "*.xml", "*.bin", "*.txt", "*.jinja", "onnx"))
SHIPPED = "openvino"
CACHE_VARIABLE = "GPT2_CHAT_CACHE"
# Raised when the graph changes, so that what an older version of this code has cached is not taken.
GRAPH_VERSION = 2
MADE_FROM = ("config.json", "tokenizer.json", "*.safetensors")


def fingerprint(folder: Path) -> str:
    """SHA-256 of what an export depends on: the weights, their configuration and the tokenizer."""
    digest = hashlib.sha256(f"graph {GRAPH_VERSION}".encode())
    for pattern in MADE_FROM:
        for path in sorted(folder.glob(pattern)):
            digest.update(f"{path.name} {sha256_of(path)}".encode())
    return digest.hexdigest()


def cache_folder() -> Path:
    """`GPT2_CHAT_CACHE`, else a folder of ours in the user's cache.

    Raises:
        UserError: it is to be in a home folder, and there is none, as for a user without an account.
    """
    named = os.environ.get(CACHE_VARIABLE, "").strip()
    try:
        if named:
            return Path(named).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpt2-chat"
    except RuntimeError:
        raise UserError(
            f"{CACHE_VARIABLE} {named or '(not set)'}: there is no such home folder to keep the model's "
            "OpenVINO export in; set it to a folder that can be written"
        ) from None


def exported_folder(folder: Path, weights: str, flag: str, export: Callable[[Path], None]) -> Path:
    """The model's OpenVINO export, made now where there is none.

    Args:
        folder: the model's own.
        weights: of an export that is made now; one that lies in `openvino/` is taken with those it has.
        export: writes an export, without its `EXPORT_FILE`, into an empty folder.

    Raises:
        UserError: `openvino/` was made from other weights or is not whole, or the cache cannot be written.
    """
    try:
        made_from = fingerprint(folder)
    except OSError as error:
        raise UserError(
            f"{flag} {folder}: {Path(error.filename).name} cannot be read ({error.strerror}); give a folder "
            "that holds a whole model"
        ) from None
    shipped = folder / SHIPPED
    if shipped.is_dir():
        if problem := _problem(shipped, made_from):
            raise UserError(
                f"{flag} {folder}: its `{SHIPPED}` {problem}; make it anew with `python -m chat.export "
                f"--model {folder} --to openvino`, or remove it"
            )
        return shipped
    kept = cache_folder() / f"{made_from[:32]}-{weights}"
    if not _problem(kept, made_from):
        return kept
    with _alone(kept):
        if not _problem(kept, made_from):
            return kept
        # What a power cut or a partial copy left of an export; nothing else has such a name.
        shutil.rmtree(kept, ignore_errors=True)
        print(f"Exporting {folder} to OpenVINO once, into {kept}.", file=sys.stderr)
        with whole_folder(kept, EXPORT, CACHE_VARIABLE) as scratch:
            export(scratch)
            record(scratch, made_from, weights)
    return kept


@contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """Lets one process at a time, of those that share a cache, make this export; the others wait for it."""
    from filelock import FileLock, Timeout

    lock = FileLock(kept.with_name(f".{kept.name}.lock"))
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with suppress(Timeout):
            lock.acquire(blocking=False)
        if not lock.is_locked:
            print(f"Waiting for the process that makes {kept}.", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise UserError(
            f"{CACHE_VARIABLE} {kept}: cannot be written ({error.strerror}); give another folder"
        ) from None
    try:
        yield
    finally:
        lock.release()


def record(folder: Path, made_from: str, weights: str, **further: Any) -> None:
    """Writes `EXPORT_FILE`, by which an export is known for whole, when all its other files are there."""
    found = {"fingerprint": made_from, "weights": weights, "files": sizes(folder, EXPORT_FILE), **further}
    text = json.dumps(found, indent=2)
    (folder / EXPORT_FILE).write_text(text + "\n", encoding="utf-8")


def _problem(folder: Path, made_from: str) -> str | None:
    """Why the export in a folder cannot be taken, as what follows its name in a sentence."""
    recorded = _recorded(folder)
    if recorded.get("fingerprint") != made_from:
        return "was not made from the weights beside it"
    # Older versions noted no sizes.
    files = recorded.get("files", {})
    if not isinstance(files, dict) or not is_whole(folder, files):
        return "is not whole (files are missing, or cut short)"
    return None


def _recorded(folder: Path) -> dict:
    try:
        found = json.loads((folder / EXPORT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
