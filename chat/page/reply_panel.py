"""What a visitor can ask about a reply: what it leans on, how fast it came, its seed, and for another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from chat.dialogue import ASSISTANT, USER
from chat.page.controls import ANY_SEED
from chat.page.conversations import Places
from chat.page.replies import Record, about_reply, turns_from

if TYPE_CHECKING:
    from chat.engine import ChatEngine

SEED = 6  # The place of the seed among the additional inputs of the chat.


@dataclass(frozen=True)
class ReplyPanel:
    about: gr.Button
    again: gr.Button
    text: gr.Textbox

    @classmethod
    def build(cls) -> ReplyPanel:
        with gr.Row():
            again = gr.Button("Again with another seed", size="sm", min_width=140)
            about = gr.Button("About the last reply", size="sm", min_width=140)
        text = gr.Textbox(
            label="About a reply",
            info="Click on a reply for the same.",
            lines=4,
            visible=False,
            elem_id="about-reply",
        )
        return cls(about, again, text)

    def wire(
        self,
        chat: gr.ChatInterface,
        places: Places,
        engine: ChatEngine,
        answer: Callable[..., Iterator[tuple[str, Record]]],
        inputs: list[gr.components.Component],
        concurrent_replies: int,
    ) -> None:
        """
        Args:
            answer: the chat's function.
            inputs: its additional inputs.
        """

        def of_last(history: Any, persona: str, record: Record) -> dict:
            return gr.update(value=about_reply(engine, history, persona, record, None), visible=True)

        def of_chosen(history: Any, persona: str, record: Record, event: gr.SelectData) -> dict:
            place = event.index[0] if isinstance(event.index, list | tuple) else event.index
            return gr.update(value=about_reply(engine, history, persona, record, place), visible=True)

        asked = [chat.chatbot, places.persona, places.record]
        self.about.click(of_last, asked, self.text, api_visibility="private")
        chat.chatbot.select(of_chosen, asked, self.text, api_visibility="private")
        self.again.click(
            lambda history, *given: redrawn(answer, history, list(given)),
            [chat.chatbot_state, *inputs],
            [chat.chatbot, places.record],
            concurrency_limit=concurrent_replies,
            api_visibility="private",
        ).then(
            lambda history: (history, history),
            chat.chatbot,
            places.chatbot[1:],
            api_visibility="private",
            queue=False,
        )


def redrawn(
    answer: Callable[..., Iterator[tuple[str, Record]]], history: Any, given: list
) -> Iterator[tuple]:
    """The conversation with another reply to its last message, as it grows.

    Args:
        given: the additional inputs of `answer`, whose seed is passed over.
    """
    turns = turns_from(history)
    if turns and turns[-1]["role"] == ASSISTANT:
        turns.pop()
    if not turns or turns[-1]["role"] != USER:
        yield gr.skip(), gr.skip()
        return
    given[SEED] = ANY_SEED
    for reply, record in answer(turns[-1]["content"], turns[:-1], *given):
        yield [*turns, {"role": ASSISTANT, "content": reply}], record
