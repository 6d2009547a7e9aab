"""Refuses the parts of Gradio's server that nobody needs here, and more than a page would ever send."""

from __future__ import annotations

import re
from asyncio import Queue
from typing import Any

import gradio as gr
from gradio import queueing, route_utils
from gradio.state_holder import SessionState
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What programs may call by name: the chat of a session, and one message without any.
CHAT_API, ASK_API = "chat", "ask"
# Files and sessions that anybody could leave on the server's disk, and functions by name but these:
# the page calls its own by number (`/run/predict` and `/queue`). Nor does it fetch what lies elsewhere.
CLOSED = re.compile(
    r"/gradio_api/(?:upload|deep_link|process_recording|component_server|stream|vibe-|undo-vibe-"
    r"|file[=/]https?:"
    rf"|run/(?!predict$)|(?:api|call)/(?!(?:v2/)?(?:{CHAT_API}|{ASK_API})(?:/|$)))"
)
# An import (2 MB) as JSON, in which a character may take six.
MAX_REQUEST_BYTES = 12_000_000
# Of JSON, counted by what opens and parts values: a conversation has some thousands, and commas in its texts.
# Gradio looks at each, and serves nobody meanwhile, 11 s for eight million.
MAX_REQUEST_VALUES = 300_000
# Gradio's clients name their sessions in about ten characters.
MAX_SESSION_CHARACTERS = 100
# Messages of answers that wait: one has some MB at most, and who is there takes it at once.
MAX_UNREAD = 300
# Gradio's own, which `refuse_hoards` wraps.
_get_fn = route_utils.get_fn
TOO_LARGE = HTTPException(413, "More than this page takes.")


def refuse_downloads() -> None:
    """Gradio downloads a file, however large, from whatever address a request gives for a value: not here."""

    async def refuse(url: str, cache_dir: str) -> str:
        raise gr.Error("No files here.")

    gr.processing_utils.async_ssrf_protected_download = refuse


def refuse_hoards() -> None:
    """Gradio holds names of sessions, however long, and results in its queue until somebody fetches them.

    What is not queued has its result as the answer; the queue would take it nevertheless. For its deep links,
    which are closed here, it also keeps of each session what every component was given and has shown.
    """

    def found(blocks: gr.Blocks, api_name: str | None, body: Any) -> gr.blocks.BlockFunction:
        if len(body.session_hash or "") > MAX_SESSION_CHARACTERS:
            raise HTTPException(400, f"A session_hash has at most {MAX_SESSION_CHARACTERS} characters.")
        function = _get_fn(blocks, api_name, body)
        # The queue asks by number alone.
        if api_name is None:
            if not function.queue:
                raise HTTPException(400, "This function is not queued.")
            _forget_unread(blocks._queue)
        return function

    route_utils.get_fn = found
    SessionState._update_value_in_config = lambda *_: None


def _forget_unread(queue: queueing.Queue) -> None:
    """Empties the fullest sessions, where too much waits: Gradio would hold it till 2000 others have come.

    Spared are those for which something is computed or waits its turn, unless one alone has too much.
    """
    events = [event for job in queue.active_jobs for event in job or ()]
    events += [event for each in queue.event_queue_per_concurrency_id.values() for event in each.queue]
    served = {event.session_hash for event in events}
    waiting = [
        each
        for name, each in queue.pending_messages_per_session.items()
        if name not in served or each.qsize() > MAX_UNREAD
    ]
    while sum(each.qsize() for each in waiting) > MAX_UNREAD:
        fullest = max(waiting, key=Queue.qsize)
        while not fullest.empty():
            fullest.get_nowait()


class RequestGuard:
    """ASGI middleware: answers what is refused, and passes everything else on."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif CLOSED.search(scope["path"]):
            await PlainTextResponse("Not here.", status_code=404)(scope, receive, send)
        else:
            await self.app(scope, _bounded(receive), send)


def _bounded(receive: Receive) -> Receive:
    """The same, with an end to bodies."""
    received = values = 0

    async def bounded() -> Message:
        nonlocal received, values
        message = await receive()
        body = message.get("body", b"")
        received += len(body)
        values += sum(map(body.count, (b"[", b"{", b",")))
        if received > MAX_REQUEST_BYTES or values > MAX_REQUEST_VALUES:
            raise TOO_LARGE
        return message

    return bounded
