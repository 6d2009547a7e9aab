"""The Space: a Gradio page over `chat/`. MODEL_ID (path or Hub id) picks the model, ENGINE how it runs.

python app.py
MODEL_ID=user/model python app.py
"""

import os

from chat.cli import run

MAX_WAITING_REQUESTS = 32


def main() -> None:
    import gradio as gr

    from chat.engine import ENGINE_VARIABLE, MODEL_VARIABLE, default_model, engine_named, load_engine
    from chat.page import build_page

    engine = engine_named(os.environ.get(ENGINE_VARIABLE, ""))
    page = build_page(load_engine(default_model(), flag=MODEL_VARIABLE, engine=engine))
    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    page.queue(max_size=MAX_WAITING_REQUESTS).launch(theme=theme, footer_links=["api", "settings"])


if __name__ == "__main__":
    run(main)
