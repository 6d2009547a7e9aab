"""Serves the page, with `/health` beside it."""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any
from urllib.request import getproxies_environment

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from chat.cli import UserError
from chat.engine import ChatEngine
from chat.feedback import FeedbackLog
from chat.page.guard import ASK_API, RequestGuard, refuse_downloads, refuse_hoards
from chat.page.theme import theme
from chat.page.variables import ADDRESS_VARIABLE, PORT_VARIABLE, PageVariables
from chat.published_paths import published

FOLDER = Path(__file__).resolve().parent
# Gradio 6.31 announces the end of each event to screen readers by this key, and has no text for it.
WORDS = {"common.complete": "Complete"}
# Conversations that the server holds, one an open page; of more, the longest unused ones are forgotten there.
MAX_SESSIONS = 1000


def feedback_log(variables: PageVariables) -> FeedbackLog | None:
    """Where messages are kept of those who allow it.

    Raises:
        UserError: FEEDBACK_DATASET cannot be used.
    """
    if not variables.keeps_feedback:
        return None
    return FeedbackLog(Path(variables.feedback_folder).expanduser(), variables.feedback_dataset)


def launch(page: gr.Blocks, engine: ChatEngine, variables: PageVariables, **options: Any) -> str:
    """Starts the server; `wait_for_end` waits for its end.

    Args:
        options: of Gradio's `launch`.

    Returns:
        its address.

    Raises:
        UserError: no port is free where it should listen.
    """
    refuse_downloads()
    refuse_hoards()
    name = os.environ.get(ADDRESS_VARIABLE, "").strip().removeprefix("[").removesuffix("]")
    _past_proxies("127.0.0.1", "localhost", name)
    # Gradio makes a URL of it.
    listens = {"server_name": f"[{name}]"} if ":" in name else {}
    # Past the queue neither its length nor the number of concurrent replies would bind anybody.
    page.queue(max_size=variables.queue_size, api_open=False)
    # That tool is taken away below.
    warnings.filterwarnings("ignore", "This MCP server includes a tool that has a gr.State input")
    try:
        _, address, _ = page.launch(
            theme=theme(),
            head=_head(),
            footer_links=["api"],
            i18n=gr.I18n(en=WORDS),
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            state_session_capacity=MAX_SESSIONS,
            mcp_server=variables.mcp_server,
            app_kwargs={"routes": [health_route(engine)], "middleware": [Middleware(RequestGuard)]},
            prevent_thread_lock=True,
            **{"inbrowser": has_screen(), **listens, **options},
        )
    except OSError as error:
        raise UserError(f"{ADDRESS_VARIABLE}, {PORT_VARIABLE}: {error}") from None
    if page.mcp_server_obj:
        _only_without_memory(page.mcp_server_obj)
    return address


def _past_proxies(*hosts: str) -> None:
    """Excepts these hosts from a proxy that is set: Gradio asks its own server whether it is up."""
    proxies = getproxies_environment()
    direct = proxies.pop("no", "")
    if proxies and direct != "*":
        direct = ",".join(filter(None, [direct, *hosts]))
        os.environ.update({"NO_PROXY": direct, "no_proxy": direct})


def has_screen() -> bool:
    """Whether somebody sits at a terminal of this machine, before a screen on which a browser can open."""
    has_display = sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}
    return bool(has_display) and sys.stdout.isatty() and "SSH_CONNECTION" not in os.environ


def _only_without_memory(mcp_server: Any) -> None:
    """Leaves the tool that answers one message.

    All clients of Gradio's MCP server (6.31) are one session: what one of them has said to the chat of a
    session would be before another's message.
    """
    mcp_server.tool_to_endpoint = {"chat": f"/{ASK_API}"}


def _head() -> str:
    """Style and script as they are; Gradio's own `css` rewrites selectors, and loses some."""
    names = ("page.css", "conversations.js", "page.js")
    style, *scripts = ((FOLDER / name).read_text(encoding="utf-8") for name in names)
    return f"<style>{style}</style>" + "".join(f"<script>{script}</script>" for script in scripts)


def wait_for_end(page: gr.Blocks, engine: ChatEngine, log: FeedbackLog | None) -> None:
    """Serves until Ctrl-C, or SIGTERM as `app.py` takes it; then pushes what feedback is left."""
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print("The page ends.")
    page.close(verbose=False)
    if log:
        log.close()
    engine.close()


def health_route(engine: ChatEngine) -> Route:
    """`GET /health`: status 200 while the engine can answer, 503 when it cannot."""

    def health(request: Request) -> JSONResponse:
        is_ready = not engine.is_closed
        answer = {"status": "ok" if is_ready else "closed", "model": published(engine.name)}
        return JSONResponse(answer, status_code=200 if is_ready else 503)

    return Route("/health", health)
