"""The visitor's conversations: kept in their own browser, listed in the side bar, exported and imported.

The server keeps none of them. They outlive a reload of the page and a restart of the server.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from chat.dialogue import USER
from chat.page.replies import Record, ReplyDetails, new_record, turns_from
from chat.session import MAX_TURNS, ChatSession, checked_turns, persona_from

if TYPE_CHECKING:
    from chat.engine import ChatEngine

MAX_CONVERSATIONS = 30
MAX_TITLE_CHARACTERS = 40
STORAGE_KEY = "gpt2-chat-conversations"
# Gradio ciphers what it keeps in the browser, by default with a key of this process, which nothing could read
# after a restart. The visitor's own browser needs no secret from its visitor.
STORAGE_SECRET = "gpt2-chat"

DOWNLOAD_JS = """
(text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type: "application/json"}));
    link.download = "conversation.json";
    link.click();
    URL.revokeObjectURL(link.href);
}
"""

Conversation = dict[str, Any]


def title_of(conversation: Conversation) -> str:
    """The first thing that the user said, cut."""
    said = next((turn["content"] for turn in conversation["turns"] if turn["role"] == USER), "")
    text = " ".join(said.split())
    return text if len(text) <= MAX_TITLE_CHARACTERS else f"{text[:MAX_TITLE_CHARACTERS].rstrip()}..."


def kept(saved: list[Conversation], conversation: Conversation) -> list[Conversation]:
    """The saved ones with this one as it now stands, what changed first; without it, if nothing was said."""
    old = next((each for each in saved if each["id"] == conversation["id"]), None)
    if old == conversation:
        return saved
    others = [each for each in saved if each is not old]
    return [conversation, *others][:MAX_CONVERSATIONS] if conversation["turns"] else others


def readable(saved: Any) -> list[Conversation]:
    """What the browser held, without what is no conversation: another version may have written it."""
    found = []
    for each in saved if isinstance(saved, list) else []:
        try:
            found.append(
                {
                    "id": str(each["id"]),
                    "persona": [*persona_from(each["persona"])],
                    "turns": checked_turns(each["turns"]),
                    "replies": {
                        place: asdict(ReplyDetails(**kept)) for place, kept in each["replies"].items()
                    },
                }
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return found[:MAX_CONVERSATIONS]


@dataclass(frozen=True)
class Places:
    """The components that one conversation fills: what was said three times over, as Gradio keeps it."""

    chatbot: list[gr.components.Component]
    persona: gr.Textbox
    record: gr.State

    def components(self) -> list[gr.components.Component]:
        return [*self.chatbot, self.persona, self.record]

    def show(self, conversation: Conversation) -> tuple:
        turns = conversation["turns"]
        record = {"id": conversation["id"], "replies": conversation["replies"]}
        return turns, turns, turns, "\n".join(conversation["persona"]), record


@dataclass(frozen=True)
class SideBar:
    """Its components, before they are wired to the chat."""

    saved: gr.BrowserState
    listing: gr.Radio
    new: gr.Button
    delete: gr.Button
    export: gr.Button
    upload: gr.UploadButton
    file_text: gr.Textbox

    @classmethod
    def build(cls) -> SideBar:
        saved = gr.BrowserState([], storage_key=STORAGE_KEY, secret=STORAGE_SECRET)
        with gr.Sidebar(open=False, width=300):
            new = gr.Button("New conversation", variant="primary", size="sm")
            listing = gr.Radio(
                [], label="Conversations", info="Kept in this browser, nowhere else.", elem_id="conversations"
            )
            with gr.Row():
                export = gr.Button("Export", size="sm", min_width=80)
                upload = gr.UploadButton(
                    "Import", size="sm", file_types=[".json"], type="binary", min_width=80
                )
                delete = gr.Button("Delete", size="sm", min_width=80)
            file_text = gr.Textbox(visible=False)
        return cls(saved, listing, new, delete, export, upload, file_text)

    def wire(self, page: gr.Blocks, places: Places, engine: ChatEngine) -> None:
        """Lets the side bar follow the chat, and the chat the side bar."""
        private = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        state = places.chatbot[1]
        now = [state, places.persona, places.record]
        listed = [self.saved, self.listing]
        gr.on(
            [state.change, places.persona.change],
            _keep,
            [*now, self.saved],
            [places.record, *listed],
            trigger_mode="always_last",
            **private,
        )
        restored = [*places.components(), self.listing]
        page.load(lambda saved: _restored(places, saved), self.saved, restored, **private)
        self.new.click(_emptied, places.persona, restored, **private)
        self.listing.input(
            lambda chosen, saved: _opened(places, chosen, saved),
            [self.listing, self.saved],
            places.components(),
            **private,
        )
        self.delete.click(_deleted, [places.record, self.saved], listed, **private).then(
            _emptied, places.persona, restored, **private
        )
        self.export.click(
            lambda history, persona: _exported(history, persona, engine), now[:2], self.file_text, **private
        ).then(None, self.file_text, None, js=DOWNLOAD_JS, **private)
        self.upload.upload(
            lambda content: places.show(_imported(content, engine)),
            self.upload,
            places.components(),
            **private,
        )


def _choices(saved: list[Conversation], chosen: str | None) -> dict:
    ids = [each["id"] for each in saved]
    return gr.update(
        choices=[(title_of(each), each["id"]) for each in saved], value=chosen if chosen in ids else None
    )


def _conversation(history: Any, persona: str, record: Record) -> Conversation:
    turns = turns_from(history)[-MAX_TURNS:]
    return {
        "id": record["id"],
        "persona": [*persona_from(persona)],
        "turns": turns,
        "replies": record["replies"],
    }


def _keep(history: Any, persona: str, record: Record, saved: Any) -> tuple:
    record = record if record.get("id") else new_record()
    before = readable(saved)
    after = kept(before, _conversation(history, persona, record))
    # While the page opens, the browser's store may not have been read yet: it is not to be written then.
    return record, gr.skip() if after == before else after, _choices(after, record["id"])


def _restored(places: Places, saved: Any) -> tuple:
    """The latest conversation, for a page that has just been opened, and the list of all."""
    if not (found := readable(saved)):
        return (*(gr.skip() for _ in places.components()), _choices([], None))
    return (*places.show(found[0]), _choices(found, found[0]["id"]))


def _emptied(persona: str) -> tuple:
    """A new conversation with the same persona; in the list none is chosen."""
    return [], [], [], persona, new_record(), None


def _opened(places: Places, chosen: str, saved: Any) -> tuple:
    found = next((each for each in readable(saved) if each["id"] == chosen), None)
    return places.show(found) if found else tuple(gr.skip() for _ in places.components())


def _deleted(record: Record, saved: Any) -> tuple:
    left = [each for each in readable(saved) if each["id"] != record.get("id")]
    return left, _choices(left, None)


def _exported(history: Any, persona: str, engine: ChatEngine) -> str:
    return ChatSession(engine, persona_from(persona), turns_from(history)).to_json()


def _imported(content: bytes, engine: ChatEngine) -> Conversation:
    """The conversation in a file of this page's or the terminal's.

    Raises:
        gr.Error: there is none in it; shown to the visitor, whose conversation stays as it is.
    """
    try:
        session = ChatSession.from_json(engine, content)
    except ValueError as error:
        raise gr.Error(f"This file was not imported: {error}.", print_exception=False) from None
    return {**new_record(), "persona": [*session.persona], "turns": session.turns}
