"""What a visitor can do with a reply: ask what it leans on, its speed and its seed; have it drawn anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from chat.page.chat_interface import Chat
from chat.page.controls import ANY_SEED
from chat.page.conversations import Places
from chat.page.replies import Record, about_reply
from chat.page.text_chatbot import place_of

if TYPE_CHECKING:
    from chat.engine import ChatEngine

# The focus stays where it was asked for.
SHOW_JS = """
(text) => {
    gpt2chat.say(text);
    document.querySelector("#about-reply")?.scrollIntoView({block: "nearest", behavior: "smooth"});
}
"""


def details_field() -> gr.Textbox:
    """What is known of a reply, once it has been asked for."""
    return gr.Textbox(
        label="About a reply",
        info="Click on a reply to be told of that one.",
        lines=4,
        visible=False,
        elem_id="about-reply",
    )


def reply_buttons(
    chat: Chat, seed: gr.Number, details: gr.Textbox, places: Places, engine: ChatEngine
) -> None:
    """What is clicked to have the last reply drawn anew, or to be told of it or of another one.

    Args:
        seed: among the chat's additional inputs.
        details: of `details_field`, which stands elsewhere.
    """
    with gr.Row(elem_id="reply-buttons"):
        again = gr.Button("Again with another seed", size="sm", min_width=120, elem_id="again")
        about = gr.Button("About the last reply", size="sm", min_width=120)
    seed_at = chat.additional_inputs.index(seed)
    chat.wire(again, lambda given: (*given[:seed_at], ANY_SEED, *given[seed_at + 1 :]))

    def of_last(history: Any, persona: str, record: Record) -> dict:
        return gr.update(value=about_reply(engine, history, persona, record, None), visible=True)

    def of_chosen(history: Any, persona: str, record: Record, event: gr.SelectData) -> dict:
        place = place_of(event)
        return gr.update(value=about_reply(engine, history, persona, record, place), visible=True)

    asked = [chat.chatbot, places.persona, places.record]
    for told in (about.click(of_last, asked, details), chat.chatbot.select(of_chosen, asked, details)):
        told.then(None, details, None, js=SHOW_JS)
