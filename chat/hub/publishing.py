"""Repositories on the Hub that we write: made private, filled by whole commits, tried again, tagged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from chat.cli import UserError
from chat.hub.errors import Failure, failure_of
from chat.hub.loading import MODEL_FILES

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
MAIN = "main"
MODEL_TEXTS = ("README.md", "LICENSE")
ATTEMPTS = 6
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Destination:
    """Where something is published, and what the user said of it.

    Attributes:
        repo_id: USER/NAME.
        repo_type: model, dataset or space.
        public: whether all may see it; a repository is made private otherwise.
        flag: what gave `repo_id`, for errors.
        public_flag: what would have made it public, where the user could.
        space_sdk: of a space that is to be made.
    """

    repo_id: str
    repo_type: str = "model"
    public: bool = False
    flag: str = "--push-to-hub"
    public_flag: str | None = "--hub-public"
    space_sdk: str | None = None

    def __post_init__(self):
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id

        try:
            validate_repo_id(self.repo_id)
            is_id = self.repo_id.count("/") == 1
        except HFValidationError:
            is_id = False
        if not is_id:
            raise UserError(f"{self}: not a {self.repo_type}'s id; give USER/NAME")

    def __str__(self) -> str:
        return f"{self.flag} {self.repo_id}"

    @property
    def repository(self) -> dict[str, str]:
        """It as the Hub's client wants it."""
        return {"repo_id": self.repo_id, "repo_type": self.repo_type}

    @property
    def url(self) -> str:
        from huggingface_hub import constants

        folder = "" if self.repo_type == "model" else f"{self.repo_type}s/"
        return f"{constants.ENDPOINT}/{folder}{self.repo_id}"


def make_ready(destination: Destination) -> Failure | None:
    """Makes the repository where there is none, before the work that is to be published there.

    Returns:
        Why the Hub cannot be asked now, where a later try may succeed.

    Raises:
        UserError: no token, one that may not write there, or a public repository for what is to be private.
    """
    from huggingface_hub import get_token

    if not get_token():
        raise UserError(
            f"{destination}: no token; set HF_TOKEN to one that may write there "
            "(https://huggingface.co/settings/tokens)"
        )
    try:
        _make(destination)
    except UserError:
        raise
    except Exception as error:
        failure = failure_of(error)
        if failure.is_lasting:
            raise UserError(f"{destination}: {failure}") from error
        return failure
    return None


def _make(destination: Destination) -> None:
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo(
        **destination.repository,
        private=not destination.public,
        exist_ok=True,
        space_sdk=destination.space_sdk,
    )
    api.auth_check(**destination.repository, write=True)
    is_private = api.repo_info(**destination.repository).private
    if not (is_private or destination.public):
        raise UserError(
            f"{destination}: is public on the Hub; make it private in its settings, or name another"
            + (f", or give {destination.public_flag} true" if destination.public_flag else "")
        )
    if is_private and destination.public:
        logger.warning("%s: is private and stays so; its settings on the Hub can change that", destination)


def publish_folder(
    folder: str | Path,
    destination: Destination,
    *,
    message: str,
    allow: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
    ours: Iterable[str] = (),
    tag: str | None = None,
    again: str = "give the same command again",
) -> str:
    """Puts a folder's files into the repository's root as one commit; tries again where that may help.

    Args:
        message: the commit's.
        allow, ignore: patterns of paths in the folder.
        ours: patterns of paths in the repository, of which those that the folder lacks are deleted.
        tag: for the commit.
        again: how the user makes a second try, as an imperative.

    Returns:
        The commit's id; of the last one, where nothing has changed.

    Raises:
        UserError: it is not on the Hub, and why; what is there is as it was.
    """

    def publish() -> str:
        _make(destination)
        additions = additions_of(folder, allow=allow, ignore=ignore)
        commit = commit_files(destination, additions, message=message, ours=ours)
        if tag:
            set_tag(destination, tag, commit)
        return commit

    commit = persistently(publish, destination, what=str(folder), again=again)
    logger.info("%s is on the Hub: %s%s", folder, destination.url, f" (tag {tag})" if tag else "")
    return commit


def publish_model(
    folder: str | Path,
    destination: Destination,
    *,
    message: str,
    tag: str | None = None,
    again: str = "give the same command again",
) -> str:
    """`publish_folder` for a model's folder: weights as safetensors, tokenizer, settings, card."""
    return publish_folder(
        folder,
        destination,
        message=message,
        allow=(*MODEL_FILES, *MODEL_TEXTS),
        ours=MODEL_FILES,
        tag=tag,
        again=again,
    )


def persistently(
    action: Callable[[], Result],
    destination: Destination,
    *,
    what: str,
    again: str,
    attempts: int = ATTEMPTS,
    wait: Callable[[float], object] = time.sleep,
) -> Result:
    """The action's result, tried again after growing pauses where a later try may succeed.

    Raises:
        UserError: the last try failed, or one failed for good.
    """
    pause_seconds = FIRST_WAIT_SECONDS
    for attempt in range(1, attempts + 1):
        try:
            return action()
        except UserError:
            raise
        except Exception as error:
            failure = failure_of(error)
            if failure.is_lasting or attempt == attempts:
                raise UserError(
                    f"{destination}: {what} is not on the Hub, but whole on this machine ({failure.reason}); "
                    f"{failure.remedy}, then {again}"
                ) from error
        seconds = max(pause_seconds, failure.retry_after_seconds)
        logger.warning(
            "%s: %s is not on the Hub yet (%s); trying again in %.0f s",
            destination,
            what,
            failure.reason,
            seconds,
        )
        wait(seconds)
        pause_seconds = min(2 * pause_seconds, LONGEST_WAIT_SECONDS)
    raise AssertionError("unreachable")


def additions_of(
    folder: str | Path,
    path_in_repo: str = "",
    *,
    allow: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
) -> list[CommitOperationAdd]:
    """A folder's files, hidden ones left out, as additions of a commit."""
    from huggingface_hub import CommitOperationAdd

    folder, prefix = Path(folder), f"{path_in_repo}/" if path_in_repo else ""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    wanted = [
        path
        for path in paths
        if not any(part.startswith(".") for part in path.split("/"))
        and (allow is None or _matches(path, allow))
        and not _matches(path, ignore)
    ]
    return [CommitOperationAdd(prefix + path, folder / path) for path in wanted]


def commit_files(
    destination: Destination,
    additions: list[CommitOperationAdd],
    *,
    message: str,
    ours: Iterable[str] = (),
    revision: str = MAIN,
) -> str:
    """One commit of all additions, with the deletion of files of ours that are not among them; its id.

    `HfApi.upload_folder` would make several commits of a large folder, of which a reader may see the first.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    deletions = _stale(api, destination, {each.path_in_repo for each in additions}, ours, revision)
    return api.create_commit(
        **destination.repository,
        operations=[*deletions, *additions],
        commit_message=message,
        revision=revision,
    ).oid


def _stale(api, destination, kept: set[str], ours: Iterable[str], revision) -> list[CommitOperationDelete]:
    from huggingface_hub import CommitOperationDelete

    if not (patterns := tuple(ours)):
        return []
    there = api.list_repo_files(**destination.repository, revision=revision)
    stale = (path for path in there if path not in kept and _matches(path, patterns))
    return [CommitOperationDelete(path, is_folder=False) for path in stale]


def set_tag(destination: Destination, tag: str, commit: str) -> None:
    """Names a commit; again is allowed, another commit by the same name is not."""
    from huggingface_hub import HfApi

    api = HfApi()
    there = {each.name: each.target_commit for each in api.list_repo_refs(**destination.repository).tags}
    if tag not in there:
        api.create_tag(**destination.repository, tag=tag, revision=commit)
    elif there[tag] != commit:
        raise UserError(
            f"--hub-tag {tag}: {destination.repo_id} has this tag on another commit ({there[tag][:8]}); the "
            "files are on the Hub without it; give another tag"
        )


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)
