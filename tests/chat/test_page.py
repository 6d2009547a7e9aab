"""The page, served on loopback and asked through Gradio's own client."""

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
