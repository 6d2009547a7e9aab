"""The dialogues that are evaluated: which files, which share of them, seen from which sides."""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from chat import jsonl
from chat.cli import UserError
from chat.dialogue import Dialogue
from chat.hub.path_or_id import is_local, looks_like_path
from chat.sequences import is_reply


def read_views(
    data: list[str], splits: list[str], shares: dict[str, float], max_dialogues: int, seed: int
) -> dict[str, list[Dialogue]]:
    """Per corpus (and split, where there are several), every side of its dialogues that a model may take.

    Args:
        data: datasets of `data_scripts.prepare`, or JSONL files of dialogues.
        splits: of the datasets; of a file, dialogues that are marked as of another split are left out.
        shares: by corpus, the share of its groups (films) to keep, drawn by `seed`; 1 where none is given.
        max_dialogues: at most this many dialogues a corpus, drawn by `seed` (0: all).

    Raises:
        UserError: a file is missing or wrong, a share names no corpus, or there is no dialogue or reply.
    """
    by_corpus: dict[tuple[str, str], list[Dialogue]] = defaultdict(list)
    for path in data:
        for split, dialogues in _read(path, splits):
            for dialogue in dialogues:
                by_corpus[dialogue.source, split if len(splits) > 1 else ""].append(dialogue)
    if not by_corpus:
        raise UserError(f"--data {' '.join(data)}: has no dialogue; give one with dialogues")
    corpora = list(dict.fromkeys(corpus for corpus, _ in by_corpus))
    for name in sorted(shares.keys() - {*corpora}):
        raise UserError(f"--share {name}: no such corpus in --data; it has {', '.join(corpora)}")
    views = {}
    for (corpus, split), found in by_corpus.items():
        kept = _share_of(found, shares.get(corpus, 1.0), seed)
        if 0 < max_dialogues < len(kept):
            kept = random.Random(seed).sample(kept, max_dialogues)
        of_corpus = [view for dialogue in kept for view in dialogue.views()]
        if not any(any(is_reply(view.turns)) for view in of_corpus):
            raise UserError(f"--data {' '.join(data)}: {corpus} has no reply to anything; give one that has")
        views[f"{corpus} {split}".strip()] = of_corpus
    return views


def _read(path: str, splits: list[str]) -> Iterable[tuple[str, Iterable[Dialogue]]]:
    if not is_local(path) and Path(path).suffix != ".jsonl":
        remedy = "make a dataset with `python -m data_scripts.prepare`"
        if "/" in path and not looks_like_path(path):
            # Training takes it so; the dialogues lie beside its rows.
            remedy += f", or fetch the Hub's: `hf download {path} --repo-type dataset --local-dir FOLDER`"
        raise UserError(f"--data {path}: no such file or folder; {remedy}")
    if not Path(path).is_dir():
        return [("", _of_splits(path, splits))]
    files = {split: Path(path) / "dialogues" / f"{split}.jsonl" for split in splits}
    for file in files.values():
        if not file.is_file():
            raise UserError(
                f"--data {path}: has no `{file.relative_to(path)}`; make it with `python -m "
                "data_scripts.prepare`"
            )
    return [(split, jsonl.read(file, flag="--data")) for split, file in files.items()]


def _of_splits(path: str, splits: list[str]) -> list[Dialogue]:
    dialogues = list(jsonl.read(path, flag="--data"))
    kept = [dialogue for dialogue in dialogues if dialogue.split in ("", *splits)]
    if dialogues and not kept:
        raise UserError(
            f"--data {path}: all its dialogues are marked as of another split than --splits "
            f"{' '.join(splits)}; give --splits {dialogues[0].split}, or a file of held-out dialogues"
        )
    return kept


def _share_of(dialogues: list[Dialogue], share: float, seed: int) -> list[Dialogue]:
    """All dialogues of a share of the groups; a dialogue without a group is a group of its own."""
    if share >= 1:
        return dialogues
    groups = [dialogue.group or f"dialogue {index}" for index, dialogue in enumerate(dialogues)]
    distinct = sorted(set(groups))
    kept = set(random.Random(seed).sample(distinct, max(1, round(share * len(distinct)))))
    return [dialogue for dialogue, group in zip(dialogues, groups, strict=True) if group in kept]


def fingerprint(views: list[Dialogue]) -> str:
    """A checksum of the dialogues, in their order."""
    digest = hashlib.sha256()
    for view in views:
        digest.update(json.dumps(view.to_json(), sort_keys=True).encode("utf-8"))
    return digest.hexdigest()
