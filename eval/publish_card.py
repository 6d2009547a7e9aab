"""A model's card on the Hub, brought up to date with results of `eval.run`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError
from chat.folders import sha256_of
from chat.hub.cards import change_card, changeable_card, check_card, checksums
from chat.hub.errors import failure_of
from chat.hub.loading import model_folder
from chat.hub.merged_cards import has_results, merged_card, without_results
from chat.hub.publishing import AGAIN, MAIN
from chat.hub.repositories import Destination, files_on
from eval.card_rendering import OWN_PART, render_card
from eval.model_folder import WEIGHTS, ModelFolder, own_statistics, read_model_folder

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

# What the model's folder tells better than an older card.
OWN_METADATA = ("base_model", "library_name", "pipeline_tag")


def card_destination(model_id: str, folder: Path) -> Destination:
    """Where the card of the model in `folder` goes, checked before the work whose results it is to tell.

    Raises:
        UserError: there is no such repository, the token may not write there, or it holds another model, or a
            card that cannot be read.
    """
    destination = Destination(model_id, public=True)
    state = changeable_card(destination)
    check_card(destination, state, model_id)
    try:
        has_same = has_weights_of(folder, destination, state.files)
    except Exception as error:
        raise UserError(f"{destination}: {failure_of(error)}") from error
    if not has_same:
        held = "holds other weights" if _weights(state.files) else "holds no model"
        raise UserError(
            f"{destination}: {held}, and these results are of {folder}; publish that first with `python -m "
            f"eval.publish_model --model {folder} {destination.flag} {model_id}`, or name another model"
        )
    return destination


def has_weights_of(folder: Path, destination: Destination, files: Iterable[str]) -> bool:
    """Whether a repository of these files has the model in `folder`; raises what the Hub's client raises."""
    there, here = _weights(files), {path.name: sha256_of(path) for path in folder.glob(WEIGHTS)}
    return bool(there) and here == checksums(destination, there)


def _weights(files: Iterable[str]) -> set[str]:
    return {path for path in files if Path(path).match(WEIGHTS) and "/" not in path}


def merge_with_model(folder: Path, destination: Destination, there: str | None, card: str) -> str:
    """For a card that comes with the model in `folder`: ours is merged with the one there, an author's own is
    taken as it is. Figures that are there stay only where they are of these weights, and then in place of a
    card without any.

    Raises what the Hub's client raises.
    """
    if not there:
        return card
    is_ours = OWN_PART.begin in card
    if not has_weights_of(folder, destination, files_on(destination, MAIN)):
        there = without_results(there, destination.repo_id)
    elif not has_results(card) and is_ours and OWN_PART.begin in there:
        return there
    return merged_card(there, card, OWN_PART, OWN_METADATA) if is_ours else card


@dataclass(frozen=True)
class CardToPublish:
    """The card of a model whose results are still to come.

    Attributes:
        statistics: of the dataset that it was trained on, if its folder has them.
    """

    destination: Destination
    model: ModelFolder
    statistics: dict | None

    @classmethod
    def checked(cls, model_id: str, model: str) -> CardToPublish:
        """
        Args:
            model_id: of the repository, given by --push-to-hub.
            model: the model that is evaluated, path or Hub id, given by --model.

        Raises:
            UserError: as `card_destination`, and where the model's folder cannot be read.
        """
        folder = read_model_folder(str(model_folder(model)), "--model")
        return cls(card_destination(model_id, folder.path), folder, own_statistics(folder, "--model"))

    def push(self, results: dict, again: str) -> None:
        """Renders the card with the results, and merges it with the one on the Hub."""
        model_id = self.destination.repo_id
        card = render_card(results, self.model, self.statistics, model_id=model_id)
        push_card(self.destination, card, again=again)


def push_card(
    destination: Destination, card: ModelCard, own_metadata: Iterable[str] = (), *, again: str = AGAIN
) -> None:
    """Merges the card with the one on the Hub, as one commit, where that changes it.

    Args:
        own_metadata: names of what the user has said of the metadata; else what is there stays.
        again: how the user makes a second try, as an imperative.

    Raises:
        UserError: it is not on the Hub, and why.
    """

    def merged(there: str | None) -> str:
        try:
            return merged_card(there, str(card), OWN_PART, (*OWN_METADATA, *own_metadata))
        except UserError as error:
            raise UserError(f"{destination}: {error}") from error

    change_card(destination, merged, message="Results of eval.run", again=again)
