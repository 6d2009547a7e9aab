"""The Space: a Gradio page over `chat/`. MODEL_ID (path or Hub id) picks the model.

python app.py
MODEL_ID=user/model python app.py
"""

from chat.cli import run

MAX_WAITING_REQUESTS = 32


def main() -> None:
    import gradio as gr

    from chat.engine import MODEL_VARIABLE, ChatEngine, default_model
    from chat.page import build_page

    page = build_page(ChatEngine.from_pretrained(default_model(), flag=MODEL_VARIABLE))
    theme = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    page.queue(max_size=MAX_WAITING_REQUESTS).launch(theme=theme, footer_links=["api", "settings"])


if __name__ == "__main__":
    run(main)
