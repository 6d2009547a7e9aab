"""The chat page: a Gradio `ChatInterface` over the engine, with a persona, decoding controls and a reset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chat.decoding import MAX_NEW_TOKENS_RANGE, TEMPERATURE_RANGE, TOP_K_RANGE, TOP_P_RANGE
from chat.dialogue import ASSISTANT, USER
from chat.session import MAX_PERSONA_SENTENCES, ChatSession, persona_from
from chat.template import content_text

if TYPE_CHECKING:
    import gradio as gr

    from chat.engine import ChatEngine

TITLE = "GPT-2 chat"
ABOUT = (
    "You are chatting with **{model}**, a small language model trained on film and small-talk dialogue. "
    "It makes things up, knows nothing about the world, and is no source of facts or advice."
)
PERSONA = (
    "I have two cats named Miso and Tofu.",
    "I work as a nurse.",
    "I love to cook Italian food.",
    "I grew up in Portland.",
)
EXAMPLES = (
    "Hi! How are you today?",
    "Do you have any pets?",
    "What do you do for work?",
    "What do you like to eat?",
)


def build_page(engine: ChatEngine) -> gr.Blocks:
    """The page over `engine`. A conversation lives in its visitor's session (`gr.State`), in no global."""
    import gradio as gr

    from chat.engine import MAX_REQUESTS

    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.Markdown(f"# {TITLE}\n\n{ABOUT.format(model=engine.name)}")
        chat = gr.ChatInterface(
            _answerer(engine),
            chatbot=gr.Chatbot(
                show_label=False,
                height="55vh",
                render_markdown=False,
                feedback_options=None,
                buttons=["copy"],
            ),
            textbox=gr.Textbox(
                placeholder="Say something", show_label=False, autofocus=True, submit_btn=True, stop_btn=True
            ),
            examples=[[example] for example in EXAMPLES],
            additional_inputs=_controls(engine),
            additional_inputs_accordion=gr.Accordion("Persona and decoding", open=True, render=False),
            concurrency_limit=MAX_REQUESTS,
            cache_examples=False,
            flagging_mode="never",
            analytics_enabled=False,
            api_name="chat",
        )
        reset = gr.Button("New conversation", size="sm")
        places_of_history = [chat.chatbot, chat.chatbot_state, chat.chatbot_value]
        reset.click(lambda: ([], [], []), outputs=places_of_history, api_visibility="private", queue=False)
    return page


def _controls(engine: ChatEngine) -> list:
    """Persona and decoding settings, in the order of `_answerer`'s arguments; the interface places them."""
    import gradio as gr

    def slider(limits: tuple[float, float], value: float, step: float, label: str, info: str) -> gr.Slider:
        return gr.Slider(*limits, value, step=step, label=label, info=info, render=False)

    own = engine.settings
    return [
        gr.Textbox(
            "\n".join(PERSONA),
            label="Who the bot is",
            info=f"One sentence a line, in the first person, at most {MAX_PERSONA_SENTENCES}.",
            lines=4,
            max_lines=MAX_PERSONA_SENTENCES,
            render=False,
        ),
        slider(TEMPERATURE_RANGE, own.temperature, 0.05, "Temperature", "Higher is more surprising."),
        slider(TOP_P_RANGE, own.top_p, 0.05, "Top-p", "Lower keeps to likely words."),
        slider(TOP_K_RANGE, own.top_k, 1, "Top-k", "Words considered at each step; 0 is all."),
        slider(MAX_NEW_TOKENS_RANGE, own.max_new_tokens, 1, "Longest reply", "In tokens."),
    ]


def _answerer(engine: ChatEngine):
    """The function that `ChatInterface` calls: yields the reply to `message` as it grows."""
    import gradio as gr

    from chat.engine import EngineBusy

    def answer(
        message: Any,
        history: list[dict],
        persona: str,
        temperature: float,
        top_p: float,
        top_k: int,
        max_new_tokens: int,
    ) -> Iterator[str]:
        turns = [
            {"role": turn["role"], "content": content_text(turn["content"])}
            for turn in history or []
            if turn.get("role") in (USER, ASSISTANT)
        ]
        settings = engine.settings.changed(
            temperature=temperature, top_p=top_p, top_k=top_k, max_new_tokens=max_new_tokens
        )
        try:
            yield from ChatSession(engine, persona_from(persona), turns, settings).ask(message)
        except EngineBusy as error:
            raise gr.Error(str(error), print_exception=False) from None

    return answer
