"""Reading what `eval.run` wrote: `results.json`, and `replies.jsonl` beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chat.cli import UserError, typed_line

RESULTS_FILE = "results.json"
REPLIES_FILE = "replies.jsonl"
FORMAT_VERSION = 3
DECODINGS = ("sampled", "unranked", "greedy")
CANDIDATES = ("model", "base")


def results_path(given: str) -> Path:
    """The results file that a flag means by a folder or by the file itself."""
    path = Path(given)
    return path / RESULTS_FILE if path.is_dir() else path


def load_results(path: Path, flag: str) -> dict:
    """The results as they were written.

    Raises:
        UserError: no such file, not results, or of another version of their format.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{flag} {path}: {error.strerror}; give the results.json that `python -m eval.run` wrote"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{flag} {path}: not results of `python -m eval.run` ({error})") from None
    if not isinstance(results, dict) or "format_version" not in results:
        raise UserError(f"{flag} {path}: not results of `python -m eval.run` (no `format_version`)")
    if (version := results["format_version"]) != FORMAT_VERSION:
        raise UserError(
            f"{flag} {path}: results of format version {version!r}, this reads {FORMAT_VERSION}; evaluate "
            "anew with `python -m eval.run`, or use the checkout that wrote them"
        )
    try:
        _check_shape(results)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{flag} {path}: not whole results of `python -m eval.run` ({error!r}); evaluate anew"
        ) from None
    return results


def _check_shape(results: dict) -> None:
    """Raises what the first use of a missing or misplaced entry would raise."""
    for role in CANDIDATES:
        model = results["models"][role]
        model["name"].strip(), _check_numbers(model["parameters"])
    results["same_reply_ids"], results["settings"].items(), results["libraries"].items()
    for source, rows in results["figures"].items():
        data = results["data"][source]
        data["sha256"].strip(), _check_numbers(data["replies"], data["views"])
        for groups in rows.values():
            for figures in groups.values():
                for entry in figures.values():
                    _check_numbers(entry["value"], *entry.values())


def _check_numbers(*values: Any) -> None:
    for value in values:
        if not isinstance(value, int | float):
            raise TypeError(f"{value!r} is no number")


def load_replies(results: Path, flag: str) -> list[dict]:
    """The replies beside the results, each candidate's by way of decoding; none where there is no file."""
    path = results.parent / REPLIES_FILE
    if not path.is_file():
        return []
    replies: list[dict] = []
    try:
        # In bytes, so that a line of another encoding is named, too.
        with path.open("rb") as lines:
            for line in lines:
                replies.append(_read_reply(line))
    except OSError as error:
        raise UserError(f"{flag} {path}: {error.strerror}; make it readable") from None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{flag} {path}: line {len(replies) + 1} is no reply of `python -m eval.run` "
            f"({typed_line(error)}); evaluate anew, or move the file away"
        ) from None
    return replies


def _read_reply(line: bytes) -> dict:
    record = json.loads(line)
    reply = {
        "source": str(record["source"]),
        "context": [(str(message["role"]), str(message["content"])) for message in record["context"]],
        "human": str(record["human"]),
    }
    for role in CANDIDATES:
        texts = dict(record[role])
        reply[role] = {name: str(texts[name]) for name in DECODINGS if name in texts}
    return reply
