"""Gradio's `Blocks` and `ChatInterface`, where they lose what a visitor wrote or keep more than is needed.

A visitor's conversation is the one that the browser shows. Gradio's own events draw replies to what the
server remembers of it; a new server remembers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from chat.dialogue import ASSISTANT, USER
from chat.page.replies import Record, turns_from
from chat.page.text_chatbot import place_of, typed
from chat.session import MAX_TURNS, message_from

QUEUED = {"show_progress": "hidden"}
UNQUEUED = {**QUEUED, "queue": False}
# The field, while nothing is drawn.
OPEN = {"interactive": True, "submit_btn": True, "stop_btn": False}
MAX_REJECTED = 20

Turns = list[dict[str, str]]


class Page(gr.Blocks):
    """Writes nothing that was said into the log."""

    def validate_inputs(self, block_fn: gr.blocks.BlockFunction, inputs: list) -> None:
        if len(inputs) < (needed := len(block_fn.inputs)):
            raise gr.Error(
                f"/{block_fn.api_name} takes {needed} values, not {len(inputs)}; a client of Gradio's fills "
                "in those that are not given.",
                print_exception=False,
            )

    async def preprocess_data(self, block_fn: gr.blocks.BlockFunction, *given: Any, **options: Any) -> list:
        """
        Raises:
            gr.Error: a value cannot be used. Gradio's own errors bring it into the log.
        """
        try:
            return await super().preprocess_data(block_fn, *given, **options)
        except gr.Error as error:
            raise gr.Error(error.message, print_exception=False) from None
        except Exception:
            raise gr.Error(
                f"/{block_fn.api_name} was given a value of another type than it takes.",
                print_exception=False,
            ) from None


class Chat(gr.ChatInterface):
    """Keeps no more than the engine would look at; gives a message back that was not answered."""

    def _append_message_to_history(self, *given: Any, **options: Any) -> list:
        return super()._append_message_to_history(*given, **options)[-MAX_TURNS:]

    def _setup_events(self) -> None:
        """The endpoint for programs, the one whose conversation the server keeps; `wire` is for visitors."""
        # What was shown before a reply is drawn, and the message that goes back into the field without one.
        self._before = gr.JSON(visible=False)
        self.fake_api_btn.click(
            self._api_wrapper(self.fn, self._stream_fn),
            [self.textbox, self.chatbot_state, *self.additional_inputs],
            [self.api_response, self.chatbot_state],
            api_name=self.api_name,
            concurrency_limit=self.concurrency_limit,
            postprocess=False,
        )

    def wire(self, again: gr.Button, any_seed: Callable[[tuple], tuple]) -> None:
        """Lets a visitor send, retry, edit and take back.

        Args:
            again: draws the last reply anew.
            any_seed: the additional inputs, with another seed.
        """
        chatbot = self.chatbot
        drawings = [
            self._draws(self.textbox.submit, sent),
            self._draws(chatbot.example_select, chosen),
            self._draws(chatbot.edit, edited),
            self._draws(chatbot.retry, waiting, another=True),
            self._draws(again.click, waiting, any_seed, another=True),
        ]
        self.textbox.stop(None, None, None, cancels=drawings)
        chatbot.undo(taken_back, chatbot, [chatbot, self.textbox], **UNQUEUED)

    def _draws(
        self,
        trigger: Callable[..., gr.events.Dependency],
        begins: Callable[..., tuple[Turns, str | None]],
        given: Callable[[tuple], tuple] = lambda values: values,
        another: bool = False,
    ) -> gr.events.Dependency:
        """Lets an event draw a reply, which can be stopped; returns what draws it.

        Args:
            begins: from what is shown, what is in the field, and the event, makes the conversation that waits
                for a reply, and the message that goes back into the field where none comes.
            given: turns the additional inputs, of which the record is the last, into those to draw with.
            another: whether it takes the place of the reply that was shown.
        """

        def draw(history: Any, shown: Any, *values: Any) -> Iterator[Any]:
            before, last = turns_from(history[:-1]), turns_from(history[-1:])
            if not last or last[0]["role"] != USER:
                if another:
                    # Here and not in `waiting`: outside the queue it would go to the server's log.
                    gr.Info("There is no reply yet to be drawn again.", duration=3)
                yield gr.skip()
                return
            values[-1]["rejected"] = _rejected(shown, values[-1]) if another else []
            for reply in self.fn(last[0]["content"], before, *given(values)):
                yield [*before, *last, {"role": ASSISTANT, "content": reply}][-MAX_TURNS:]

        shown = [self.chatbot, self.textbox]
        begun = trigger(_begun(begins), shown, [self.chatbot, self._before, self.textbox], **UNQUEUED)
        drawing = begun.success(
            draw,
            [self.chatbot, self._before, *self.additional_inputs],
            self.chatbot,
            concurrency_limit=self.concurrency_limit,
            show_progress="minimal",
        )
        drawing.then(lambda: gr.update(**OPEN), None, self.textbox, **UNQUEUED)
        # So ends what failed, and what was stopped.
        drawing.failure(_given_back, [self.chatbot, self._before], shown, **UNQUEUED)
        return drawing


def _begun(begins: Callable[..., tuple[Turns, str | None]]) -> Callable[..., tuple]:
    def begin(history: Any, field: str, event: gr.EventData = None) -> tuple:
        shown = turns_from(history)
        turns, message = begins(shown, field, event)
        before = {"turns": shown, "message": message}
        cleared = {} if message is None else {"value": ""}
        return turns, before, gr.update(interactive=False, submit_btn=False, stop_btn=True, **cleared)

    return begin


def _rejected(shown: Any, record: Record) -> list[str]:
    """The replies to the last message so far, that which was shown among them."""
    last = turns_from(shown.get("turns"))[-1:] if isinstance(shown, dict) else []
    replies = [turn["content"] for turn in last if turn["role"] == ASSISTANT]
    return [*record.get("rejected", []), *replies][-MAX_REJECTED:]


def _given_back(history: Any, before: Any) -> tuple:
    """What was before, unless some of the reply had come."""
    turns = turns_from(history)
    if (turns and turns[-1]["role"] == ASSISTANT) or not isinstance(before, dict):
        return gr.skip(), gr.update(**OPEN)
    message = before.get("message")
    value = {} if message is None else {"value": message_from(message)}
    return turns_from(before.get("turns")), gr.update(**OPEN, **value)


def sent(turns: Turns, field: str, event: gr.EventData) -> tuple[Turns, str | None]:
    """The conversation with what is in the field."""
    return ([*turns, {"role": USER, "content": field}], field) if field else (turns, None)


def chosen(turns: Turns, field: str, event: gr.EventData) -> tuple[Turns, str | None]:
    """A conversation that an example opens."""
    return [{"role": USER, "content": message_from(event.value)}], None


def edited(turns: Turns, field: str, event: gr.EventData) -> tuple[Turns, str | None]:
    """The conversation up to a message that has been changed; as it was where nothing is left of that."""
    place = place_of(event)
    said = typed(event.value)
    changed = [*turns[:place], {"role": USER, "content": said or typed(event.previous_value)}]
    return changed if said else [*changed, *turns[place + 1 :]], None


def waiting(turns: Turns, field: str, event: gr.EventData) -> tuple[Turns, str | None]:
    """The conversation without the last reply."""
    return _without_reply(turns) or turns, None


def taken_back(history: Any) -> tuple[Turns, str]:
    """The conversation without the last message and what was said to it, and that message."""
    turns = _without_reply(turns_from(history))
    return turns[:-1], turns[-1]["content"] if turns else ""


def _without_reply(turns: Turns) -> Turns:
    """Up to the last message of the user's."""
    ends = [end for end, turn in enumerate(turns, start=1) if turn["role"] == USER]
    return turns[: ends[-1]] if ends else []
