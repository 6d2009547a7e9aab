"""The chat page: a Gradio `ChatInterface` over the engine, and what stands around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import gradio as gr

from chat.page.about import TITLE, note, subtitle
from chat.page.chat_interface import Chat, Page
from chat.page.controls import decoding_controls, persona_control, seed_control
from chat.page.conversations import Places, SideBar
from chat.page.guard import ASK_API, CHAT_API
from chat.page.replies import answerer, asker, id_of, turns_from
from chat.page.reply_panel import details_field, reply_buttons
from chat.page.summary_panel import SummaryPanel
from chat.page.text_chatbot import MessageBox, TextChatbot, place_of
from chat.page.variables import PageVariables
from chat.session import MAX_MESSAGE_CHARACTERS

if TYPE_CHECKING:
    from chat.engine import ChatEngine
    from chat.feedback import FeedbackLog

# What all functions that draw a reply wait in line for.
DRAWING = "drawing"
PLACEHOLDER = "Say something"
# Of a message that is being written; with more, the button that sends it would be below the screen.
MAX_SHOWN_LINES = 6
WELCOME = "Say something, or begin with one of these"
EXAMPLES = (
    "Hi! How are you today?",
    "Do you have any pets?",
    "What do you do for work?",
    "What do you like to eat?",
)
CONSENT = "Keep my messages and the replies"
CONSENT_INFO = (
    "Those who run this page may then keep what is said here, and your likes, to make the model better. "
    "Nothing is kept unless you tick this."
)


def build_page(
    engine: ChatEngine,
    log: FeedbackLog | None = None,
    concurrent_replies: int = PageVariables.concurrent_replies,
    corpora: Sequence[str] = (),
) -> gr.Blocks:
    """The page over `engine`. A conversation lives in its visitor's session and browser, in no global.

    Args:
        log: where the messages of those who allow it are kept; None does not ask.
        concurrent_replies: replies that are drawn at once; further messages wait.
        corpora: that the model was trained on, for the visitor; empty where it is not known.
    """
    with Page(title=TITLE, analytics_enabled=False) as page:
        side_bar = SideBar.build()
        _header(engine.name)
        with gr.Row(equal_height=False):
            left = gr.Column(scale=3, min_width=320)
            with gr.Column(scale=2, min_width=320):
                details = details_field()
                persona = persona_control()
                with gr.Accordion("How replies are drawn", open=False):
                    decoding = decoding_controls(engine.settings)
                    seed = seed_control()
                summary_panel = SummaryPanel.build()
                consent = gr.Checkbox(False, label=CONSENT, info=CONSENT_INFO, visible=log is not None)
        record = gr.State({})
        inputs = [persona, *decoding, seed, consent, record]
        answer = answerer(engine, log)
        with left:
            chat = _chat(answer, inputs, concurrent_replies, has_likes=log is not None)
            places = Places(chat.chatbot, persona, record)
            reply_buttons(chat, seed, details, places, engine)
            gr.Markdown(note(corpora), elem_id="note")
        side_bar.wire(page, places, engine)
        summary_panel.wire(places, side_bar.arrives)
        if log:
            wire_likes(chat, log, consent, record)
        gr.api(asker(engine), api_name=ASK_API, concurrency_limit=concurrent_replies)
        for each in page.fns.values():
            # Otherwise any program could call what serves a visitor.
            if each.api_name not in (CHAT_API, ASK_API):
                each.api_visibility = "private"
            # Gradio's limit is one for each function: sending, editing and the API would have one each.
            if each.concurrency_limit == concurrent_replies:
                each.concurrency_id = DRAWING
    return page


def _header(model: str) -> None:
    with gr.Row(equal_height=False, elem_id="header"):
        gr.Markdown(subtitle(model), elem_id="about")
        dark = gr.Button("Light / dark", size="sm", scale=0, min_width=100)
        dark.click(None, None, None, js="() => gpt2chat.toggleDark()")


def _chat(
    answer: Callable[..., Iterator[str]],
    inputs: list[gr.components.Component],
    concurrent_replies: int,
    has_likes: bool,
) -> Chat:
    return Chat(
        answer,
        chatbot=TextChatbot(
            show_label=False,
            elem_id="chatbot",
            editable="user",
            feedback_options=("Like", "Dislike") if has_likes else None,
            buttons=["copy"],
            placeholder=WELCOME,
        ),
        # `page.js` gives it the focus, but on touch screens.
        textbox=MessageBox(
            label="Your message",
            placeholder=PLACEHOLDER,
            elem_id="message",
            show_label=False,
            submit_btn=True,
            stop_btn=True,
            autofocus=False,
            max_lines=MAX_SHOWN_LINES,
            max_length=MAX_MESSAGE_CHARACTERS,
        ),
        autofocus=False,
        examples=[[example] for example in EXAMPLES],
        additional_inputs=inputs,
        concurrency_limit=concurrent_replies,
        cache_examples=False,
        flagging_mode="never",
        analytics_enabled=False,
        api_name=CHAT_API,
    )


def wire_likes(chat: gr.ChatInterface, log: FeedbackLog, consent: gr.Checkbox, record: gr.State) -> None:
    """Keeps a like or dislike, of those who allow it."""

    def like(history: list[dict], allowed: bool, record: dict, event: gr.LikeData) -> None:
        turns = turns_from(history)
        place = place_of(event)
        if allowed is not True:
            gr.Info("Thank you. It was not kept, since you have not allowed that.", duration=3)
        elif 0 < place < len(turns):
            reply, message = turns[place]["content"], turns[place - 1]["content"]
            log.liked(allowed, id_of(record, len(turns)), reply, message, event.liked)

    chat.chatbot.like(like, [chat.chatbot, consent, record], None)
