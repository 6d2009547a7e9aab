"""Folders on the Hub: in one whole commit each, tried again where that may help, and tagged."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from chat.cli import UserError
from chat.hub.errors import failure_of
from chat.hub.repositories import CARD_FILE, Destination, hub_api, make, set_tag, state_of
from chat.model_files import MODEL_FILES

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
MAIN = "main"
MODEL_TEXTS = (CARD_FILE, "LICENSE")
ATTEMPTS = 6
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0
# How the user makes a second try, where nothing else is said.
AGAIN = "give the same command again"


def publish_folder(
    folder: str | Path,
    destination: Destination,
    *,
    message: str,
    allow: Iterable[str] | None = None,
    ours: Iterable[str] = (),
    tag: str | None = None,
    what: str = "",
    again: str = AGAIN,
    merge_card: Callable[[str | None, str], str] | None = None,
) -> None:
    """Puts a folder's files into the repository's root as one commit; tries again where that may help.

    Args:
        message: the commit's.
        allow: patterns of paths in the folder (None: all).
        ours: patterns of paths in the repository, of which those that the folder lacks are deleted.
        tag: for the commit.
        what: what the user knows it by (default: the folder's path).
        again: how the user makes a second try, as an imperative.
        merge_card: makes one of the repository's card, None where there is none, and the folder's.

    Raises:
        UserError: it is not on the Hub, and why; what is there is as it was. Or it lacks its tag.
    """

    def publish() -> str:
        make(destination)
        additions, parent = additions_of(folder, allow=allow), None
        if merge_card:
            additions, parent = _with_merged_card(destination, additions, merge_card)
        return commit_files(destination, additions, message=message, ours=ours, parent_commit=parent)

    what = what or str(folder)
    undone = f"{what} is not on the Hub, but whole on this machine"
    commit = persistently(publish, destination, undone=undone, again=again)
    if tag:
        undone = f"{what} is on the Hub, but without the tag {tag}"
        persistently(lambda: set_tag(destination, tag, commit), destination, undone=undone, again=again)
    logger.info("%s is on the Hub: %s%s", what, destination.url, f" (tag {tag})" if tag else "")


def _with_merged_card(
    destination: Destination, additions: list[CommitOperationAdd], merge: Callable[[str | None, str], str]
) -> tuple[list[CommitOperationAdd], str]:
    """The additions of a commit, the card among them merged with the repository's, and the commit of that.

    Raises what the Hub's client raises, and as `merge`.
    """
    from huggingface_hub import CommitOperationAdd

    state = state_of(destination)

    def merged(addition: CommitOperationAdd) -> CommitOperationAdd:
        if addition.path_in_repo != CARD_FILE:
            return addition
        ours = Path(addition.path_or_fileobj).read_text(encoding="utf-8")
        try:
            return CommitOperationAdd(CARD_FILE, merge(state.card, ours).encode("utf-8"))
        except UserError as error:
            raise UserError(f"{destination}: {error}") from error

    return [merged(each) for each in additions], state.commit


def publish_model(folder: str | Path, destination: Destination, **options: Any) -> None:
    """`publish_folder` for a model's folder: weights as safetensors, tokenizer, settings, card."""
    publish_folder(folder, destination, allow=(*MODEL_FILES, *MODEL_TEXTS), ours=MODEL_FILES, **options)


def persistently(
    action: Callable[[], Result],
    destination: Destination,
    *,
    undone: str,
    again: str = AGAIN,
    attempts: int = ATTEMPTS,
) -> Result:
    """The action's result, tried again after growing pauses where a later try may succeed.

    Args:
        undone: how things are without it, as a sentence.
        again: how the user makes a second try, as an imperative.

    Raises:
        UserError: the last try failed, or one failed for good.
    """
    pause_seconds = FIRST_WAIT_SECONDS
    for attempt in itertools.count(1):
        try:
            return action()
        except UserError:
            raise
        except Exception as error:
            failure = failure_of(error)
            if failure.is_lasting or attempt == attempts:
                raise UserError(
                    f"{destination}: {undone} ({failure.reason}); {failure.remedy}, then {again}"
                ) from error
        seconds = max(pause_seconds, failure.retry_after_seconds)
        logger.warning("%s: %s (%s); trying again in %.0f s", destination, undone, failure.reason, seconds)
        time.sleep(seconds)
        pause_seconds = min(2 * pause_seconds, LONGEST_WAIT_SECONDS)


def additions_of(
    folder: str | Path, *, allow: Iterable[str] | None = None, ignore: Iterable[str] = ()
) -> list[CommitOperationAdd]:
    """A folder's files, hidden ones left out, as additions of a commit."""
    from huggingface_hub import CommitOperationAdd

    folder = Path(folder)
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    wanted = [
        path
        for path in paths
        if not any(part.startswith(".") for part in path.split("/"))
        and (allow is None or matches(path, allow))
        and not matches(path, ignore)
    ]
    return [CommitOperationAdd(path, folder / path) for path in wanted]


def commit_files(
    destination: Destination,
    additions: list[CommitOperationAdd],
    *,
    message: str,
    ours: Iterable[str] = (),
    but: Iterable[str] = (),
    revision: str = MAIN,
    parent_commit: str | None = None,
) -> str:
    """One commit of all additions, with the deletion of files of ours that are not among them; its id.

    Args:
        ours: patterns of paths in the repository.
        but: patterns of those of them that stay.
        revision: the branch.
        parent_commit: the latest commit there; the Hub refuses where another one has come.

    `HfApi.upload_folder` would make several commits of a large folder, of which a reader may see the first.
    """
    from huggingface_hub import CommitOperationDelete

    api, ours = hub_api(), tuple(ours)
    kept = (*(each.path_in_repo for each in additions), *but)
    there = api.list_repo_files(**destination.repository, revision=revision) if ours else []
    stale = (path for path in there if matches(path, ours) and not matches(path, kept))
    return api.create_commit(
        **destination.repository,
        operations=[*(CommitOperationDelete(path, is_folder=False) for path in stale), *additions],
        commit_message=message,
        revision=revision,
        parent_commit=parent_commit,
    ).oid


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns fits; one without a slash fits what lies in no folder."""
    return any(fnmatch(path, pattern) and ("/" in pattern or "/" not in path) for pattern in patterns)
