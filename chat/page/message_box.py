"""The field for messages, which gives what the chat can take, whoever fills it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from chat.page.text_chatbot import typed


class MessageBox(gr.Textbox):
    """Gradio holds browsers to `max_length`, programs to nothing: the history would hold all they send."""

    # Gradio's word for a component that is drawn in the browser as its parent is.
    is_template = True

    def get_config(self, cls: type | None = None) -> dict[str, Any]:
        return super().get_config(gr.Textbox)

    def preprocess(self, payload: Any) -> str:
        return typed(payload)
