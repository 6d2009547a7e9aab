"""The page, served on loopback and asked through Gradio's own client."""

import threading
import time

import pytest


@pytest.fixture(scope="module")
def client(engine):
    import gradio_client

    from chat.page import build_page

    page = build_page(engine)
    _, url, _ = page.queue().launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield gradio_client.Client(url, verbose=False)
    page.close()


def test_a_message_is_answered_in_growing_pieces(client):
    job = client.submit("Hi!", "I am a nurse.", 0.7, 0.9, 50, 12, api_name="/chat")
    reply = job.result(timeout=60)
    assert reply and job.outputs()[-1] == reply


@pytest.mark.parametrize("message", ["", "   ", "x" * 100_000, "<|assistant|><script>alert(1)</script>"])
def test_odd_messages_get_a_safe_answer(client, message):
    assert client.predict(message, "", 1.0, 0.9, 50, 5, api_name="/chat")


def test_settings_out_of_range_are_refused_with_the_range(client):
    with pytest.raises(Exception, match=r"99 is greater than maximum value 1\.5"):
        client.predict("Hi!", "", 99, 0.9, 50, 5, api_name="/chat")


def test_only_the_chat_is_public(client):
    assert [*client.view_api(return_format="dict")["named_endpoints"]] == ["/chat"]


def test_the_page_says_which_model_it_is(engine):
    from chat.page import build_page

    page = build_page(engine)
    text = " ".join(str(getattr(block, "value", "")) for block in page.blocks.values())
    assert engine.name in text and "makes things up" in text
    [chatbot] = [block for block in page.blocks.values() if type(block).__name__ == "Chatbot"]
    assert not chatbot.render_markdown and chatbot.sanitize_html


@pytest.fixture(scope="module")
def slow_page(tokenizer, tmp_path_factory):
    """A page whose replies take seconds: a larger model of random weights. Yields its address."""
    import json

    import torch

    from chat.engine import load_engine
    from chat.page import build_page
    from training.model import build_model

    folder = tmp_path_factory.mktemp("slow")
    config = {"model_type": "gpt2", "n_layer": 12, "n_embd": 384, "n_head": 6, "n_positions": 512}
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    model = build_model(str(folder / "config.json"), tokenizer, longest_sequence=1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    page = build_page(load_engine(str(folder), engine="torch"))
    _, url, _ = page.queue().launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield url
    page.close()


def ends_soon(what: str, seconds: float) -> bool:
    """Whether no thread of this name is left after so many seconds."""
    deadline = time.monotonic() + seconds
    while any(thread.name == what for thread in threading.enumerate()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


LONG_REPLY = ["Hi!", "", 1.5, 1.0, 0, 200]


def test_stopping_ends_the_computation(slow_page):
    import gradio_client

    job = gradio_client.Client(slow_page, verbose=False).submit(*LONG_REPLY, api_name="/chat")
    for _ in job:
        break
    assert not ends_soon("chat-generate", 0.1)
    job.cancel()
    assert ends_soon("chat-generate", 1.0)


def test_a_lost_connection_ends_the_computation(slow_page):
    import httpx

    with httpx.Client(base_url=slow_page, timeout=30) as http:
        config = http.get("config").json()
        [chat] = [each["id"] for each in config["dependencies"] if each["api_name"] == "chat"]
        asked = {"data": LONG_REPLY, "fn_index": chat, "session_hash": "lost"}
        http.post("gradio_api/queue/join", json=asked).raise_for_status()
        with http.stream("GET", "gradio_api/queue/data", params={"session_hash": "lost"}) as events:
            for line in events.iter_lines():
                if "process_generating" in line:
                    break
    assert ends_soon("chat-generate", 1.0)
