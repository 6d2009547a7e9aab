"""What was said about themselves in a conversation, to look at, to change, and to begin the next one with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from chat.dialogue import ASSISTANT, USER
from chat.page.conversations import Places
from chat.page.replies import new_record, turns_from
from chat.session import persona_from
from chat.summary import Summary, summarise

LEAVING_JS = "async (...given) => (await gpt2chat.leaving(), given)"
NOTHING = "Nobody has said anything about themselves yet."


@dataclass(frozen=True)
class SummaryPanel:
    button: gr.Button
    text: gr.Textbox
    of_assistant: gr.Button
    of_user: gr.Button

    @classmethod
    def build(cls) -> SummaryPanel:
        with gr.Accordion("Summary of this conversation", open=False):
            button = gr.Button("Who said what about themselves", size="sm")
            text = gr.Textbox(
                label="Word for word, picked by rules and not by the model; change it as you like",
                lines=6,
                elem_id="summary",
            )
            gr.Markdown("Begin a new conversation in which the bot is")
            with gr.Row():
                of_assistant = gr.Button("who it said it was", size="sm", min_width=120)
                of_user = gr.Button("who you said you are", size="sm", min_width=120)
        return cls(button, text, of_assistant, of_user)

    def wire(self, places: Places, arrives: Callable[[gr.events.Dependency], None]) -> None:
        """Lets it begin a conversation; `arrives` tells the browser when one is there."""
        said = [places.chatbot, places.persona]
        self.button.click(_summary, said, self.text, queue=False)
        for button, whose in ((self.of_assistant, ASSISTANT), (self.of_user, USER)):
            begun = [self.text, places.persona]
            arrives(button.click(partial(_next, whose), begun, places.components(), js=LEAVING_JS))


def _summary(history: Any, persona: str) -> gr.Textbox:
    found = summarise(turns_from(history), persona_from(persona))
    return gr.Textbox(found.to_text(), placeholder=NOTHING)


def _next(whose: str, text: str, persona: str) -> tuple:
    """An empty conversation whose persona is what one side said; of the bot, beside what it was.

    Raises:
        gr.Error: that side has said nothing about itself.
    """
    facts = getattr(Summary.from_text(text or ""), whose)
    if not facts:
        raise gr.Error("The summary has nothing of that side.", print_exception=False)
    was = persona_from(persona) if whose == ASSISTANT else ()
    return [], "\n".join(persona_from([*was, *facts])), new_record()
