"""The chat page: a Gradio `ChatInterface` over the engine, and what stands around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import gradio as gr

from chat.page.about import TITLE, about
from chat.page.controls import PersonaControls, decoding_controls
from chat.page.conversations import Places, SideBar
from chat.page.replies import answerer
from chat.page.reply_panel import ReplyPanel
from chat.page.summary_panel import SummaryPanel
from chat.page.text_chatbot import TextChatbot
from chat.page.variables import PageVariables

if TYPE_CHECKING:
    from chat.engine import ChatEngine
    from chat.feedback import FeedbackLog

PLACEHOLDER = "Say something"
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
CSS = """
.gradio-container { max-width: 1200px !important; margin: 0 auto !important; }
#chatbot { height: 60vh !important; }
#conversations .wrap { flex-direction: column; }
@media (max-width: 640px) { #chatbot { height: 65vh !important; } #about { font-size: 0.85rem; } }
"""
TOGGLE_DARK_JS = "() => { document.body.classList.toggle('dark'); }"


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
    # Imported files lie on the server until this deletes them, an hour later.
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        side_bar = SideBar.build()
        with gr.Row(equal_height=False):
            gr.Markdown(about(engine.name, corpora), elem_id="about")
            gr.Button("Light / dark", size="sm", scale=0, min_width=110).click(
                None, None, None, js=TOGGLE_DARK_JS, api_visibility="private"
            )
        with gr.Row(equal_height=False):
            left = gr.Column(scale=3, min_width=320)
            with gr.Column(scale=2, min_width=320):
                persona = PersonaControls.build()
                with gr.Accordion("How replies are drawn", open=False):
                    decoding = decoding_controls(engine.settings)
                reply_panel = ReplyPanel.build()
                summary_panel = SummaryPanel.build()
                consent = gr.Checkbox(False, label=CONSENT, info=CONSENT_INFO, visible=log is not None)
        record = gr.State({})
        inputs = [persona.text, *decoding, consent, record]
        answer = answerer(engine, log)
        with left:
            chat = gr.ChatInterface(
                answer,
                chatbot=TextChatbot(
                    show_label=False,
                    elem_id="chatbot",
                    feedback_options=("Like", "Dislike") if log else None,
                    buttons=["copy"],
                ),
                textbox=gr.Textbox(
                    placeholder=PLACEHOLDER,
                    elem_id="message",
                    show_label=False,
                    autofocus=True,
                    submit_btn=True,
                    stop_btn=True,
                    max_length=2000,
                ),
                examples=[[example] for example in EXAMPLES],
                additional_inputs=inputs,
                additional_outputs=[record],
                editable=True,
                concurrency_limit=concurrent_replies,
                cache_examples=False,
                flagging_mode="never",
                analytics_enabled=False,
                api_name="chat",
            )
        # Gradio empties it with the first message.
        chat.chatbot_state.change(
            lambda: gr.update(placeholder=PLACEHOLDER),
            None,
            chat.textbox,
            api_visibility="private",
            queue=False,
        )
        places = Places([chat.chatbot, chat.chatbot_state, chat.chatbot_value], persona.text, record)
        side_bar.wire(page, places, engine)
        reply_panel.wire(chat, places, engine, answer, inputs, concurrent_replies)
        summary_panel.wire(places, persona)
        if log:
            wire_likes(chat, log, consent, record)
    return page


def wire_likes(chat: gr.ChatInterface, log: FeedbackLog, consent: gr.Checkbox, record: gr.State) -> None:
    """Keeps a like or dislike, of those who allow it."""
    from chat.page.replies import turns_from

    def like(history: list[dict], allowed: bool, record: dict, event: gr.LikeData) -> None:
        turns = turns_from(history)
        place = event.index[0] if isinstance(event.index, list | tuple) else event.index
        if allowed is not True:
            gr.Info("Thank you. It was not kept, since you have not allowed that.", duration=3)
        elif 0 < place < len(turns):
            liked = event.liked if isinstance(event.liked, bool) else None
            log.liked(True, record.get("id", ""), turns[place]["content"], turns[place - 1]["content"], liked)

    chat.chatbot.like(like, [chat.chatbot, consent, record], None, api_visibility="private", queue=False)
