"""The visitor's conversations: listed in the side bar, exported and imported, kept in their own browser.

`conversations.js` keeps them: they outlive a reload of the page and a restart of the server. To the server
the browser sends none but the one that is opened.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from chat.feedback import MAX_ID_CHARACTERS
from chat.page.chat_interface import QUEUED, UNQUEUED
from chat.page.replies import Record, ReplyDetails, new_record, turns_from
from chat.session import ChatSession, checked_turns, persona_from

if TYPE_CHECKING:
    from chat.engine import ChatEngine

# What the browser says in place of a file's text.
TOO_LARGE = "it has more than 2 MB"

Conversation = dict[str, Any]


def readable(kept: Any) -> Conversation | None:
    """The conversation that a browser kept; None if it is none: another version may have written it."""
    try:
        turns = checked_turns(kept["turns"])
        replies = {int(place): ReplyDetails.from_json(each) for place, each in kept["replies"].items()}
        return {
            "id": str(kept["id"])[:MAX_ID_CHARACTERS],
            "persona": [*persona_from(kept["persona"])],
            "turns": turns,
            "replies": {
                str(place): asdict(each) for place, each in replies.items() if 0 < place < len(turns)
            },
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


@dataclass(frozen=True)
class Places:
    """The components that one conversation fills."""

    chatbot: gr.Chatbot
    persona: gr.Textbox
    record: gr.State

    def components(self) -> list[gr.components.Component]:
        return [self.chatbot, self.persona, self.record]

    def show(self, conversation: Conversation) -> tuple:
        record = {"id": conversation["id"], "replies": conversation["replies"]}
        return conversation["turns"], "\n".join(conversation["persona"]), record


@dataclass(frozen=True)
class SideBar:
    """Its components, before they are wired to the chat."""

    listing: gr.Radio
    new: gr.Button
    delete: gr.Button
    export: gr.Button
    upload: gr.Button
    conversation: gr.JSON
    file_text: gr.Textbox
    changes: gr.Textbox

    @classmethod
    def build(cls) -> SideBar:
        with gr.Sidebar(open=False, width=300):
            new = gr.Button("New conversation", variant="primary", size="sm")
            listing = gr.Radio(
                [],
                label="Conversations",
                info="The last 30, kept in this browser.",
                elem_id="conversations",
            )
            with gr.Row():
                export = gr.Button("Export", size="sm", min_width=80)
                upload = gr.Button("Import", size="sm", min_width=80)
                delete = gr.Button("Delete", size="sm", min_width=80)
            conversation, file_text = gr.JSON(visible=False), gr.Textbox(visible=False)
        # Gradio reports no changes of components that are not in the page.
        changes = gr.Textbox(visible="hidden")
        return cls(listing, new, delete, export, upload, conversation, file_text, changes)

    def wire(self, page: gr.Blocks, places: Places, engine: ChatEngine) -> None:
        """Lets the side bar follow the chat, and the chat the side bar."""
        self._wire_keeping(places)
        self._wire_choosing(page, places)
        now = [places.chatbot, places.persona]

        def exported(history: Any, persona: str) -> str:
            return ChatSession(engine, persona_from(persona), turns_from(history)).to_json()

        self.export.click(exported, now, self.file_text, **UNQUEUED).then(
            None, self.file_text, None, js="(text) => gpt2chat.download(text)", **UNQUEUED
        )

        def imported(text: str | None) -> tuple | dict:
            return gr.skip() if text is None else places.show(_imported(text, engine))

        picked = f"async () => [await gpt2chat.picked({json.dumps(TOO_LARGE)})]"
        self.arrives(self.upload.click(imported, self.file_text, places.components(), js=picked, **QUEUED))

    def arrives(self, event: gr.events.Dependency) -> None:
        """Tells the browser that the conversation which an event brings is there, or none will be."""
        # Gradio runs no `then` after an error.
        for ends in (event.then, event.failure):
            ends(None, None, self.listing, js="() => gpt2chat.arrived()", **UNQUEUED)

    def _wire_keeping(self, places: Places) -> None:
        # Not of the `gr.State`: Gradio 6.31 reports no changes of it by events outside the queue.
        gr.on(
            [places.chatbot.change, places.persona.change],
            None,
            None,
            self.changes,
            js="() => gpt2chat.settled()",
            **UNQUEUED,
        )
        now = [places.chatbot, places.persona, places.record]
        self.changes.change(_current, now, self.conversation, trigger_mode="always_last", **UNQUEUED).then(
            None, self.conversation, self.listing, js="(kept) => gpt2chat.keep(kept)", **UNQUEUED
        )

    def _wire_choosing(self, page: gr.Blocks, places: Places) -> None:
        """What is chosen comes by `conversation`: to the server, choices that the browser made are none."""

        def shown(chosen: Any) -> tuple | dict:
            found = readable(chosen)
            return places.show(found) if found else gr.skip()

        def emptied(chosen: Any, persona: str) -> tuple | dict:
            return gr.skip() if chosen else ([], persona, new_record())

        chosen, filled = self.conversation, places.components()
        page.load(None, None, None, js="() => gpt2chat.start()", **UNQUEUED)
        latest = "async () => [await gpt2chat.latest()]"
        self.arrives(page.load(shown, chosen, filled, js=latest, **UNQUEUED))
        opened = "(id) => gpt2chat.opened(id)"
        opening = self.listing.input(None, self.listing, self.conversation, js=opened, **UNQUEUED)
        self.arrives(opening.then(shown, chosen, filled, **UNQUEUED))
        leaving = [self.conversation, places.persona]
        for trigger, way in (
            (self.new.click, "left"),
            (places.chatbot.clear, "left"),
            (self.delete.click, "removed"),
        ):
            js = f"async (_, persona) => [await gpt2chat.{way}(), persona]"
            self.arrives(trigger(emptied, leaving, filled, js=js, **UNQUEUED))


def _current(history: Any, persona: str, record: Record) -> Conversation | None:
    """The conversation for the browser to keep; None before the first reply."""
    if not record.get("id"):
        return None
    return {
        "id": record["id"],
        "continues": record.get("continues", False),
        "persona": [*persona_from(persona)],
        "turns": turns_from(history),
        "replies": dict(record["replies"]),
    }


def _imported(text: str, engine: ChatEngine) -> Conversation:
    """The conversation in a file of this page's or the terminal's.

    Raises:
        gr.Error: there is none in it; shown to the visitor, whose conversation stays as it is.
    """
    try:
        if text == TOO_LARGE:
            raise ValueError(TOO_LARGE)
        session = ChatSession.from_json(engine, text)
    except ValueError as error:
        raise gr.Error(f"This file was not imported: {error}.", print_exception=False) from None
    return {**new_record(), "persona": [*session.persona], "turns": session.turns}
