"""Our repositories on the Hub: made, private unless it is said otherwise; their files, branches and tags."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError
from chat.hub.errors import NEW_TOKEN, Failure, failure_of
from chat.hub.secrets import own_token

if TYPE_CHECKING:
    from huggingface_hub import HfApi

logger = logging.getLogger(__name__)
CARD_FILE = "README.md"
CONNECT_SECONDS = 20.0
ANSWER_SECONDS = 300.0


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


@dataclass(frozen=True)
class RepositoryState:
    """A repository at one moment.

    Attributes:
        commit: the latest one.
        files: paths of all files.
        card: the text of its README; None where there is none.
    """

    commit: str
    files: tuple[str, ...]
    card: str | None


def state_of(destination: Destination) -> RepositoryState:
    """What is there now; raises what the Hub's client raises."""
    api = hub_api()
    info = api.repo_info(**destination.repository)
    files = tuple(each.rfilename for each in info.siblings or ())
    card = None
    if CARD_FILE in files:
        path = api.hf_hub_download(**destination.repository, filename=CARD_FILE, revision=info.sha)
        card = Path(path).read_text(encoding="utf-8")
    return RepositoryState(info.sha, files, card)


def make_ready(destination: Destination, check: Callable[[], object] = lambda: None) -> Failure | None:
    """Makes the repository where there is none, before the work that is to be published there.

    Args:
        check: raises UserError where what is there must stay as it is.

    Returns:
        Why the Hub cannot be asked now, where a later try may succeed.

    Raises:
        UserError: no token, one that may not write there, a public repository for what is to be private, or
            of `check`.
    """
    if not own_token():
        raise UserError(f"{destination}: no token; {NEW_TOKEN}")
    try:
        if make(destination) and destination.public:
            logger.warning(
                "%s: is private and stays so; its settings on the Hub can change that", destination
            )
        check()
    except UserError:
        raise
    except Exception as error:
        failure = failure_of(error)
        if failure.is_lasting:
            raise UserError(f"{destination}: {failure}") from error
        return failure
    return None


def make(destination: Destination) -> bool:
    """Makes the repository where there is none; whether it is private.

    Raises what the Hub's client raises, and as `make_ready`.
    """
    api = hub_api()
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
    return is_private


def hub_api() -> HfApi:
    """The Hub's client; from now on every request has a timeout, those that the libraries make as well."""
    from huggingface_hub import HfApi

    _bound_waiting()
    return HfApi()


@functools.cache
def _bound_waiting() -> None:
    """The Hub's client waits for an answer for ever, and a run would never end."""
    import httpx2
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    bounds = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)

    def bound(request: httpx2.Request) -> None:
        # Some of its calls ask for no bound, which counts for more than the client's.
        given = {name: each for name, each in request.extensions.get("timeout", {}).items() if each}
        request.extensions["timeout"] = bounds.as_dict() | given

    def client() -> httpx2.Client:
        made = default_client_factory()
        made.timeout = bounds
        made.event_hooks["request"].append(bound)
        return made

    set_client_factory(client)


def make_branch(destination: Destination, branch: str) -> None:
    """Begins a branch where `main` is, unless there is one of this name."""
    hub_api().create_branch(**destination.repository, branch=branch, exist_ok=True)


def check_tag_name(tag: str) -> None:
    """Raises UserError where no tag can be named so, as Git says (`git help check-ref-format`)."""
    if re.search(r"[\s~^:?*\[\\\x00-\x1f\x7f]|\.\.|@\{|//|/\.|\.lock(/|$)|^[-/.]|[/.]$|^@?$", tag):
        raise UserError(f"--hub-tag {tag}: cannot be a tag's name; give one such as v1.0")


def check_tag_is_free(destination: Destination, tag: str) -> None:
    """Raises UserError where the repository has a tag of this name."""
    if tag in _tags(destination):
        raise UserError(f"--hub-tag {tag}: {destination.repo_id} has this tag already; give another one")


def _tags(destination: Destination) -> dict[str, str]:
    refs = hub_api().list_repo_refs(**destination.repository)
    return {each.name: each.target_commit for each in refs.tags}


def set_tag(destination: Destination, tag: str, commit: str) -> None:
    """Names a commit; again is allowed, another commit by the same name is not."""
    there = _tags(destination)
    if tag not in there:
        hub_api().create_tag(**destination.repository, tag=tag, revision=commit)
    elif there[tag] != commit:
        raise UserError(
            f"--hub-tag {tag}: {destination.repo_id} has this tag on another commit ({there[tag][:8]}); the "
            "files are on the Hub without it; give another tag"
        )


def files_on(destination: Destination, branch: str) -> list[str]:
    """The paths on a branch; none where there is no such branch or repository."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        return hub_api().list_repo_files(**destination.repository, revision=branch)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return []


def download(destination: Destination, branch: str, folder: Path, allow: Iterable[str]) -> None:
    """A branch's files, of one commit, into a folder; what is there whole of an earlier try is kept."""
    hub_api().snapshot_download(
        **destination.repository, revision=branch, local_dir=folder, allow_patterns=list(allow)
    )
