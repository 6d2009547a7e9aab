"""A chatbot that shows messages as the text that they are, and the field in which they are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import gradio as gr

from chat.session import message_from

# An invisible character that takes no room: a tag's name or an entity's must follow `<` and `&` at once.
# What is copied on the page loses it again (page.js).
WORD_JOINER = "\u2060"
_OPENS_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|&(?=[A-Za-z#])")
_SHOWN = re.compile(rf"([<&]){WORD_JOINER}")


def shown(text: str) -> str:
    """Text that HTML has no markup in, and that looks the same."""
    return _OPENS_MARKUP.sub(rf"\g<0>{WORD_JOINER}", text)


def meant(text: str) -> str:
    """The text of which `shown` made this."""
    return _SHOWN.sub(r"\1", text)


def typed(sent: Any) -> str:
    """The message that somebody typed, of what the page sends, within the limits."""
    return message_from(meant(sent) if isinstance(sent, str) else sent)


def place_of(event: gr.EventData) -> int:
    """Which message was clicked on, liked or edited: Gradio gives its place alone, or in a list."""
    return event.index[0] if isinstance(event.index, list | tuple) else event.index


class TextChatbot(gr.Chatbot):
    """Gradio sanitises messages and yet renders what markup it holds harmless; here none of it is markup."""

    # Gradio's word for a component that is drawn in the browser as its parent is.
    is_template = True

    def __init__(self, **options: Any):
        as_text = {"render_markdown": False, "sanitize_html": True, "latex_delimiters": []}
        super().__init__(**{**options, **as_text})

    def get_config(self, cls: type | None = None) -> dict[str, Any]:
        return super().get_config(gr.Chatbot)

    def postprocess(self, value: Any) -> Any:
        return super().postprocess(_with_texts(value, shown))

    def preprocess(self, payload: Any) -> Any:
        return _with_texts(super().preprocess(payload), meant)


class MessageBox(gr.Textbox):
    """Gradio holds browsers to `max_length`, programs to nothing: the history would hold all they send."""

    is_template = True

    def preprocess(self, payload: Any) -> str:
        return typed(payload)


def _with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """The messages, every text in them changed."""
    if not isinstance(value, list):
        return value
    return [
        {**message, "content": _changed(message["content"], change)}
        if isinstance(message, dict) and "content" in message
        else message
        for message in value
    ]


def _changed(content: Any, change: Callable[[str], str]) -> Any:
    if isinstance(content, str):
        return change(content)
    if isinstance(content, list):
        return [_changed(each, change) for each in content]
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        return {**content, "text": change(content["text"])}
    return content
