"""Serves the page, with `/health` beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.responses import JSONResponse
from starlette.routing import Route

from chat.cli import UserError
from chat.engine import ChatEngine
from chat.page.layout import CSS
from chat.page.variables import PageVariables

if TYPE_CHECKING:
    from chat.feedback import FeedbackLog

MAX_IMPORT = "2mb"


def feedback_log(variables: PageVariables) -> FeedbackLog | None:
    """Where messages are kept of those who allow it.

    Raises:
        UserError: FEEDBACK_DATASET cannot be used.
    """
    if not variables.keeps_feedback:
        return None
    from chat.feedback import FeedbackLog

    return FeedbackLog(Path(variables.feedback_folder).expanduser(), variables.feedback_dataset)


def launch(page: gr.Blocks, engine: ChatEngine, variables: PageVariables, **options: Any) -> str:
    """Starts the server; `page.block_thread()` waits for its end.

    Args:
        options: of Gradio's `launch`.

    Returns:
        its address.

    Raises:
        UserError: no port is free where it should listen.
    """
    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    page.queue(max_size=variables.queue_size)
    try:
        _, address, _ = page.launch(
            theme=theme,
            css=CSS,
            footer_links=["api", "settings"],
            max_file_size=MAX_IMPORT,
            mcp_server=variables.mcp_server,
            app_kwargs={"routes": [health_route(engine)]},
            prevent_thread_lock=True,
            **options,
        )
    except OSError as error:
        raise UserError(f"GRADIO_SERVER_PORT: {error}") from None
    return address


def health_route(engine: ChatEngine) -> Route:
    """`GET /health`: status 200 while the engine can answer, 503 when it cannot."""

    def health(request) -> JSONResponse:
        is_ready = not engine.is_closed
        answer = {"status": "ok" if is_ready else "closed", "model": engine.name}
        return JSONResponse(answer, status_code=200 if is_ready else 503)

    return Route("/health", health)
