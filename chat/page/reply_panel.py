"""What a visitor can do with a reply: ask what it leans on, its speed and its seed; have it drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from chat.dialogue import ASSISTANT, USER
from chat.page.chat_interface import Chat
from chat.page.controls import ANY_SEED
from chat.page.conversations import Places
from chat.page.message_box import MessageBox
from chat.page.replies import Record, about_reply, turns_from
from chat.page.text_chatbot import meant, place_of
from chat.session import message_from

if TYPE_CHECKING:
    from chat.engine import ChatEngine

SEED = 6  # The place of the seed among the additional inputs of the chat.
PRIVATE = {"api_visibility": "private"}


SHOW_JS = """
() => document.querySelector("#about-reply")?.scrollIntoView({block: "nearest", behavior: "smooth"})
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


@dataclass(frozen=True)
class ReplyPanel:
    about: gr.Button
    again: gr.Button
    text: gr.Textbox

    @classmethod
    def build(cls, text: gr.Textbox) -> ReplyPanel:
        """
        Args:
            text: of `details_field`, which stands elsewhere.
        """
        with gr.Row(elem_id="reply-buttons"):
            again = gr.Button("Again with another seed", size="sm", min_width=120, elem_id="again")
            about = gr.Button("About the last reply", size="sm", min_width=120)
        return cls(about, again, text)

    def wire(
        self,
        chat: Chat,
        places: Places,
        engine: ChatEngine,
        answer: Callable[..., Iterator[str]],
        inputs: list[gr.components.Component],
        concurrent_replies: int,
    ) -> None:
        """
        Args:
            answer: the chat's function.
            inputs: its additional inputs.
        """
        self._wire_details(chat, places, engine)

        def again(history: Any, *given: Any) -> Iterator[Any]:
            turns = turns_from(history)
            if turns and turns[-1]["role"] == ASSISTANT:
                turns.pop()
            if not turns or turns[-1]["role"] != USER:
                gr.Info("There is no reply yet to be drawn again.", duration=3)
                yield gr.skip()
                return
            yield from drawn(answer, turns[:-1], turns[-1]["content"], _with_any_seed(given))

        def edited(history: Any, event: gr.EditData, *given: Any) -> Iterator[Any]:
            place = place_of(event)
            said = message_from(meant(event.value) if isinstance(event.value, str) else event.value)
            turns = turns_from(history)[:place]
            yield [*turns, {"role": USER, "content": said}]
            yield from drawn(answer, turns, said, given)

        drawing = [
            _draws(trigger, function, chat, inputs, concurrent_replies)
            for trigger, function in ((self.again.click, again), (chat.chatbot.edit, edited))
        ]
        chat.textbox.stop(None, None, None, cancels=drawing, **PRIVATE)

    def _wire_details(self, chat: Chat, places: Places, engine: ChatEngine) -> None:
        def of_last(history: Any, persona: str, record: Record) -> dict:
            return gr.update(value=about_reply(engine, history, persona, record, None), visible=True)

        def of_chosen(history: Any, persona: str, record: Record, event: gr.SelectData) -> dict:
            place = place_of(event)
            return gr.update(value=about_reply(engine, history, persona, record, place), visible=True)

        asked = [chat.chatbot, places.persona, places.record]
        self.about.click(of_last, asked, self.text, **PRIVATE).then(None, None, None, js=SHOW_JS, **PRIVATE)
        chat.chatbot.select(of_chosen, asked, self.text, **PRIVATE)


def drawn(
    answer: Callable[..., Iterator[str]], turns: list[dict[str, str]], message: str, given: tuple
) -> Iterator[list[dict[str, str]]]:
    """The conversation with the message and a reply to it, as that grows.

    Args:
        turns: before the message.
        given: the additional inputs of `answer`.
    """
    said = [*turns, {"role": USER, "content": message}]
    for reply in answer(message, turns, *given):
        yield [*said, {"role": ASSISTANT, "content": reply}]


def _with_any_seed(given: tuple) -> tuple:
    return (*given[:SEED], ANY_SEED, *given[SEED + 1 :])


def _draws(
    trigger: Callable[..., gr.events.Dependency],
    function: Callable[..., Iterator[Any]],
    chat: Chat,
    inputs: list[gr.components.Component],
    concurrent_replies: int,
) -> gr.events.Dependency:
    """Lets an event draw a reply, as `ChatInterface` does: with a stop button; what failed is as before."""
    unqueued = {**PRIVATE, "queue": False}
    trigger(lambda: MessageBox(submit_btn=False, stop_btn=True), None, chat.textbox, **unqueued)
    drawing = trigger(
        function,
        [chat.chatbot_state, *inputs],
        chat.chatbot,
        concurrency_limit=concurrent_replies,
        show_progress="minimal",
        **PRIVATE,
    )
    states = [chat.chatbot_state, chat.chatbot_value]
    drawing.then(lambda history: (history, history), chat.chatbot, states, **unqueued).then(
        lambda: MessageBox(submit_btn=True, stop_btn=False), None, chat.textbox, **unqueued
    )
    chat.give_back_after(drawing)
    return drawing
