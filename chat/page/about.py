"""What the page says of the model: its name, what it learnt from, and that it is not to be believed."""

from __future__ import annotations

import json
from collections.abc import Sequence

from chat.cli import UserError
from chat.engine import MODEL_VARIABLE
from chat.hub.loading import statistics_file
from chat.markdown import escaped
from chat.published_paths import published

TITLE = "GPT-2 chat"
SUBTITLE = "**{model}**: a small language model that makes things up"
NOTE = (
    "It has learnt from {data}. It knows nothing about the world and is no source of facts or advice. "
    "Whom it plays is up to you: the persona."
)
CORPORA = {
    "cornell": "film scripts (Cornell Movie-Dialogs)",
    "personachat": "small talk of crowd workers (PersonaChat)",
    "daily_dialog": "dialogues for learners of English (DailyDialog)",
    "multi_session_chat": "people who meet again (Multi-Session Chat)",
    "persona_questions": "made-up questions about a persona",
    "jsonl": "dialogues of its makers' own",
}


def corpora_of(model: str) -> list[str]:
    """The corpora that a model was trained on, as its `stats.json` tells; empty where it tells nothing."""
    try:
        file = statistics_file(model, MODEL_VARIABLE, "model")
        return [str(name) for name in json.loads(file.read_text("utf-8"))["corpora"]] if file else []
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return []


def subtitle(model: str) -> str:
    """What stands at the top, in Markdown."""
    return f"# {TITLE}\n\n{SUBTITLE.format(model=escaped(published(model)))}"


def note(corpora: Sequence[str]) -> str:
    """What stands below the chat, in Markdown."""
    # Others are named as whoever made the model liked: an image would call out from each visitor's browser.
    *first, last = [CORPORA.get(name, escaped(name)) for name in corpora] or ["human dialogue"]
    return NOTE.format(data=f"{', '.join(first)} and {last}" if first else last)
