"""What is known of the model that a Space is to chat with, checked before anything is uploaded."""

from __future__ import annotations

from pathlib import Path

from chat.hub.cards import card_metadata, model_on_hub
from chat.hub.loading import is_local, load_chat_tokenizer
from chat.page.about import corpora_of
from chat.space.card import SpaceModel
from chat.space.folder import folder_in_space


def checked_model(name: str, flag: str) -> SpaceModel:
    """
    Raises:
        UserError: there is no such model, or it was not trained in our chat format.
    """
    load_chat_tokenizer(name, flag)
    if is_local(name):
        card = Path(name) / "README.md"
        return SpaceModel(
            folder_in_space(name), datasets=_datasets(card_metadata(card)), corpora=tuple(corpora_of(name))
        )
    found = model_on_hub(name, flag)
    return SpaceModel(name, found.url, found.is_private, _datasets(found.metadata))


def _datasets(metadata: dict) -> tuple[str, ...]:
    """The Hub ids among a card's `datasets`, which may be one or several."""
    named = metadata.get("datasets") or []
    return tuple(str(each) for each in ([named] if isinstance(named, str) else named))
