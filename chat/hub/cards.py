"""Cards, the READMEs of repositories: changed on the Hub without losing what others wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chat.cli import UserError
from chat.hub.errors import NEW_TOKEN, failure_of
from chat.hub.merged_cards import check_mergeable
from chat.hub.publishing import MAIN, matches, persistently
from chat.hub.repositories import CARD_FILE, Destination, RepositoryState, hub_api, state_of
from chat.hub.secrets import own_token
from chat.model_files import MODEL_FILES, STATISTICS_FILE, TRAINING_FILES

# What the Hub itself puts into a new repository.
STARTERS = (CARD_FILE, ".gitattributes", "index.html", "style.css")
# By the type of a repository: files of which one of ours has some, and others none.
OWN_FILES = {"model": TRAINING_FILES, "dataset": (STATISTICS_FILE,), "space": ()}
WEIGHTS = (".safetensors", ".bin", ".pt", ".gguf", ".h5", ".msgpack")


def check_card(destination: Destination, state: RepositoryState, model: str | None = None) -> None:
    """Raises UserError where ours could not be merged with the card that is there; see `check_mergeable`."""
    try:
        check_mergeable(state.card, model)
    except UserError as error:
        raise UserError(f"{destination}: {error}") from error


def refuse_anothers(destination: Destination, mark: str) -> None:
    """Raises UserError where the repository holds what somebody else made and ours would replace, or a card
    that ours could not be merged with; and what the Hub's client raises.

    Args:
        mark: what a card of ours holds.
    """
    state = state_of(destination)
    check_card(destination, state)
    kind = destination.repo_type
    is_ours = {*OWN_FILES[kind]} & {*state.files} or mark in (state.card or "")
    if not is_ours and any(_is_work(path, kind) for path in state.files):
        kind = kind.replace("space", "Space")
        raise UserError(f"{destination}: is another {kind}, which this would overwrite; name another")


def _is_work(path: str, kind: str) -> bool:
    if kind == "model":
        # All else, such as pictures, stays beside a model of ours.
        return path.endswith(WEIGHTS) or matches(path, MODEL_FILES)
    return path not in STARTERS


def changeable_card(destination: Destination) -> RepositoryState:
    """What is there now, of a repository that is there and that the token may write to.

    Raises:
        UserError: it is not, or the Hub cannot be reached.
    """
    if not own_token():
        raise UserError(f"{destination}: no token; {NEW_TOKEN}")
    try:
        state = state_of(destination)
        hub_api().auth_check(**destination.repository, write=True)
    except Exception as error:
        raise UserError(f"{destination}: {failure_of(error)}") from error
    return state


def change_card(
    destination: Destination, change: Callable[[str | None], str], *, message: str, again: str
) -> None:
    """Puts what `change` makes of a repository's card in its place, as one commit, where it differs.

    Where somebody else changes the repository in between, it is read and changed anew.

    Args:
        change: gets the card's text, None where there is none.
        again: how the user makes a second try, as an imperative.

    Raises:
        UserError: the Hub refuses or cannot be reached; or of `change`.
    """
    from huggingface_hub import CommitOperationAdd

    def try_once() -> None:
        state = state_of(destination)
        text = change(state.card)
        if text == state.card:
            return
        hub_api().create_commit(
            **destination.repository,
            operations=[CommitOperationAdd(CARD_FILE, text.encode("utf-8"))],
            commit_message=message,
            revision=MAIN,
            parent_commit=state.commit,
        )

    persistently(try_once, destination, undone="the card is as it was", again=again)


def checksums(destination: Destination, paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files that the Hub keeps as LFS files, by path; "" of others; raises what the Hub's client
    raises.
    """
    found = hub_api().get_paths_info(**destination.repository, paths=sorted(paths))
    return {each.path: each.lfs.sha256 if each.lfs else "" for each in found}
