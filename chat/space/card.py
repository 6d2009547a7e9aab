"""The Space's README: what the Hub reads at its top, and what people read below it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chat.page.about import CORPORA

if TYPE_CHECKING:
    from huggingface_hub import SpaceCard

TEMPLATE = Path(__file__).with_name("README.md.jinja")
WRITTEN_BY_US = "<!-- Written by `python -m chat.space`"
PYTHON_VERSION = "3.12"
SPEECH_BALLOON = "\N{SPEECH BALLOON}"


@dataclass(frozen=True)
class SpaceModel:
    """The model that a Space chats with.

    Attributes:
        name: its Hub id, or its folder in the Space; what MODEL_ID is set to.
        url: its page on the Hub; None where it lies in the Space.
        is_private: the Hub shows it to some people only, since it is private or gated.
        datasets: Hub ids of what it was trained on, as its card tells.
        corpora: their names, as its `stats.json` tells.
    """

    name: str
    url: str | None = None
    is_private: bool = False
    datasets: tuple[str, ...] = ()
    corpora: tuple[str, ...] = ()


def render_card(model: SpaceModel, *, title: str, space: str, sdk_version: str, hardware: str) -> SpaceCard:
    """
    Args:
        space: its Hub id, for the snippet.
        sdk_version: of Gradio, exact.
        hardware: the Hub's name of what it suggests.
    """
    from huggingface_hub import SpaceCard, SpaceCardData

    on_hub = [model.name] if model.url else None
    data = SpaceCardData(
        title=title,
        emoji=SPEECH_BALLOON,
        colorFrom="blue",
        colorTo="indigo",
        sdk="gradio",
        sdk_version=sdk_version,
        python_version=PYTHON_VERSION,
        app_file="app.py",
        pinned=False,
        short_description="Small talk with a GPT-2 trained on human dialogue",
        license="apache-2.0" if on_hub else "other",
        license_name=None if on_hub else "code-apache-2.0-model-terms-of-its-corpora",
        suggested_hardware=hardware,
        models=on_hub,
        datasets=list(model.datasets) or None,
        # The Hub downloads it when it builds the Space, as nobody: a private one it cannot see.
        preload_from_hub=None if model.is_private else on_hub,
    )
    return SpaceCard.from_template(
        data,
        template_path=str(TEMPLATE),
        written_by_us=WRITTEN_BY_US,
        model=model.name,
        model_url=model.url,
        corpora=[CORPORA.get(name, name) for name in model.corpora],
        space_literal=json.dumps(space),
    )
