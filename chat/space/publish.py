"""Uploads a Space's folder and tells the Space its model."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from chat.cli import UserError
from chat.engine import MODEL_VARIABLE
from chat.hub.cards import readable_state
from chat.hub.publishing import Destination, make_ready, publish_folder
from chat.hub.secrets import refuse_tokens
from chat.hub.spaces import set_variable
from chat.space.arguments import SpaceArguments
from chat.space.card import SpaceModel
from chat.space.folder import OURS, check_output, is_ours, write_space
from chat.space.model import checked_model

APP_FILE = "app.py"
AGAIN = "give the same command again"


def make_space(arguments: SpaceArguments) -> tuple[SpaceModel, Destination | None]:
    """Writes and publishes the Space as the flags say.

    Returns:
        Its model, and where it was published.

    Raises:
        UserError: what was given cannot be used, a file holds a token, or the Hub refuses.
    """
    if arguments.output:
        check_output(arguments.output)
    destination = None
    if arguments.push_to_hub:
        destination = Destination(
            arguments.push_to_hub, "space", public=arguments.hub_public, space_sdk="gradio"
        )
    model = checked_model(arguments.model, "--model")
    if destination:
        _check_destination(destination)
    with TemporaryDirectory() as scratch:
        folder = Path(arguments.output or Path(scratch) / "space").expanduser()
        write_space(arguments, model, folder, "--output")
        refuse_tokens(folder)
        if destination:
            _publish(folder, destination, model)
    return model, destination


def _check_destination(destination: Destination) -> None:
    """Makes the Space where there is none; what somebody else made is left alone."""
    if failure := make_ready(destination):
        raise UserError(f"{destination}: {failure}")
    state = readable_state(destination)
    if APP_FILE in state.files and not is_ours(state.card or ""):
        raise UserError(f"{destination}: is another Space, which this would overwrite; name another")


def _publish(folder: Path, destination: Destination, model: SpaceModel) -> None:
    def upload() -> None:
        publish_folder(folder, destination, message="Publish the chat page", ours=OURS)

    def name_model() -> None:
        set_variable(destination, MODEL_VARIABLE, model.name, again=AGAIN)

    # A model that is uploaded must be there before the page looks for it, and may be gone after.
    for step in (name_model, upload) if model.url else (upload, name_model):
        step()
