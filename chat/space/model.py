"""What is known of the model that a Space is to chat with, checked before anything is uploaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chat.cli import UserError
from chat.engine import load_engine
from chat.hub.errors import one_line
from chat.hub.loading import load_chat_tokenizer
from chat.hub.path_or_id import explained, is_local
from chat.hub.repositories import CARD_FILE, hub_api
from chat.page.about import corpora_of
from chat.space.card import SpaceModel
from chat.space.folder import folder_in_space


def checked_model(name: str) -> SpaceModel:
    """
    Raises:
        UserError: there is no such model, it was not trained in our chat format, its weights are not whole,
            or its card cannot be read.
    """
    if is_local(name):
        # With weights that are missing or cut short, or that git left as a pointer to LFS, no page starts.
        load_engine(name, engine="torch").close()
        datasets = _datasets(_metadata(Path(name) / CARD_FILE))
        return SpaceModel(folder_in_space(name), datasets=datasets, corpora=tuple(corpora_of(name)))
    load_chat_tokenizer(name, "--model")
    return _model_on_hub(name)


def _model_on_hub(name: str) -> SpaceModel:
    from huggingface_hub import constants

    with explained("--model", name, "model"):
        found = hub_api().model_info(name)
    metadata = found.card_data.to_dict() if found.card_data else {}
    return SpaceModel(
        name, f"{constants.ENDPOINT}/{name}", bool(found.private or found.gated), _datasets(metadata)
    )


def _metadata(card: Path) -> dict[str, Any]:
    """What a card says to the Hub; nothing where there is no such file."""
    from huggingface_hub import RepoCard
    from yaml import YAMLError

    if not card.is_file():
        return {}
    try:
        return RepoCard(card.read_text(encoding="utf-8")).data.to_dict()
    except (ValueError, YAMLError) as error:
        raise UserError(f"{card}: its metadata cannot be read ({one_line(error)}); mend it") from None


def _datasets(metadata: dict[str, Any]) -> tuple[str, ...]:
    """The Hub ids among a card's `datasets`, which may be one or several."""
    named = metadata.get("datasets") or []
    return tuple(str(each) for each in ([named] if isinstance(named, str) else named))
