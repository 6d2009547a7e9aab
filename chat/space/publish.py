"""Uploads a Space's folder and tells the Space its model."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from chat.engine import MODEL_VARIABLE
from chat.folders import check_replaceable
from chat.hub.publishing import publish_folder
from chat.hub.repositories import Destination
from chat.hub.secrets import refuse_tokens
from chat.hub.spaces import make_space_ready, set_variable
from chat.space.arguments import SpaceArguments
from chat.space.card import WRITTEN_BY_US, SpaceModel
from chat.space.folder import OURS, SPACE, write_space
from chat.space.model import checked_model


def make_space(arguments: SpaceArguments) -> tuple[SpaceModel, Destination | None]:
    """Writes and publishes the Space as the flags say.

    Returns:
        Its model, and where it was published.

    Raises:
        UserError: what was given cannot be used, a file holds a token, or the Hub refuses.
    """
    if arguments.output:
        check_replaceable(arguments.output, SPACE, "--output")
    destination = None
    if arguments.push_to_hub:
        destination = Destination(
            arguments.push_to_hub, "space", public=arguments.hub_public, space_sdk="gradio"
        )
    model = checked_model(arguments.model)
    if destination:
        make_space_ready(destination, WRITTEN_BY_US)
    with TemporaryDirectory() as scratch:
        folder = Path(arguments.output or Path(scratch) / "space")
        write_space(arguments, model, folder)
        refuse_tokens(folder)
        if destination:
            _publish(folder, destination, model)
    return model, destination


def _publish(folder: Path, destination: Destination, model: SpaceModel) -> None:
    def upload() -> None:
        publish_folder(folder, destination, message="Publish the chat page", ours=OURS, what="the page")

    def name_model() -> None:
        set_variable(destination, MODEL_VARIABLE, model.name)

    # A model that is uploaded must be there before the page looks for it, and may be gone after.
    for step in (name_model, upload) if model.url else (upload, name_model):
        step()
