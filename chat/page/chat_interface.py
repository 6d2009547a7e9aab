"""Gradio's `Blocks` and `ChatInterface`, where they lose what a visitor wrote or keep more than is needed."""

from __future__ import annotations

from typing import Any

import gradio as gr

from chat.dialogue import ASSISTANT
from chat.session import MAX_TURNS


class Page(gr.Blocks):
    """Writes nothing that was said into the log."""

    def validate_inputs(self, block_fn: gr.blocks.BlockFunction, inputs: list) -> None:
        if len(inputs) < (needed := len(block_fn.inputs)):
            raise gr.Error(
                f"/{block_fn.api_name} takes {needed} values, not {len(inputs)}; a client of Gradio's fills "
                "in those that are not given.",
                print_exception=False,
            )


class Chat(gr.ChatInterface):
    """Keeps no more than the engine would look at; gives a message back that was not answered."""

    def _append_message_to_history(self, *given: Any, **options: Any) -> list:
        return super()._append_message_to_history(*given, **options)[-MAX_TURNS:]

    def _setup_stop_events(
        self, event_triggers: list, events_to_cancel: list[gr.events.Dependency], after_success: Any
    ) -> None:
        super()._setup_stop_events(event_triggers, events_to_cancel, after_success)
        self._was_stopped = gr.JSON(visible=False)
        for event in events_to_cancel:
            self.give_back_after(event, self.saved_input)

    def give_back_after(self, event: gr.events.Dependency, message: gr.State | None = None) -> None:
        """Without it the field would stay closed after an error, and the message be shown but not kept.

        Args:
            event: that draws a reply.
            message: goes back into the field; None leaves that empty.
        """

        def given_back(shown: list, history: list, message: str | None, was_stopped: bool) -> tuple:
            if was_stopped:
                return gr.skip(), gr.skip(), gr.skip()
            field = {"interactive": True, "submit_btn": True, "stop_btn": False}
            if shown and shown[-1]["role"] == ASSISTANT:
                return gr.skip(), shown, gr.update(**field)
            return history, history, gr.update(**field, value=message or "")

        event.failure(
            given_back,
            [self.chatbot, self.chatbot_state, message or self.null_component, self._was_stopped],
            [self.chatbot, self.chatbot_state, self.textbox],
            # Gradio tells a stopped event for a failed one.
            js="(shown) => [shown, null, null, gpt2chat.wasStopped()]",
            api_visibility="private",
            queue=False,
        )
