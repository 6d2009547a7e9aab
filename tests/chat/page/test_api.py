"""The page, served on loopback and asked by programs: Gradio's own client, an MCP client, plain HTTP."""

import json
import re
import threading
import time

import pytest

from tests.chat.page.conftest import served
from tests.test_readme import README


@pytest.fixture(scope="module")
def address(engine):
    with served(engine, mcp_server=True) as found:
        yield found


@pytest.fixture
def client(address):
    import gradio_client

    return gradio_client.Client(address, verbose=False)


def test_a_message_is_answered_in_growing_pieces(client):
    job = client.submit("Hi!", "I am a nurse.", max_new_tokens=12, api_name="/chat")
    reply = job.result(timeout=60)
    assert reply and job.outputs()[-1] == reply


def test_the_snippet_in_the_readme_answers(address, capsys):
    [snippet] = re.findall(r"```python\n(from gradio_client.*?)```", README, re.DOTALL)
    exec(snippet.replace("http://127.0.0.1:7860", address), {})
    first, second = [
        line for line in capsys.readouterr().out.splitlines() if not line.startswith("Loaded as")
    ]
    assert first and second


def test_the_same_seed_gives_the_same_reply(client, address):
    import gradio_client

    other = gradio_client.Client(address, verbose=False)
    given = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "seed": 5, "max_new_tokens": 12}
    assert client.predict("Hi!", api_name="/chat", **given) == other.predict("Hi!", api_name="/chat", **given)


@pytest.mark.parametrize("message", ["", "   ", "x" * 100_000, "<|assistant|><script>alert(1)</script>"])
def test_odd_messages_get_a_safe_answer(client, message):
    assert client.predict(message, "", max_new_tokens=5, api_name="/chat")


@pytest.mark.parametrize(
    ("given", "problem"),
    [({"temperature": 99}, r"99 is greater than maximum value 1\.5"), ({"seed": -2}, "less than minimum")],
)
def test_settings_out_of_range_are_refused_with_the_range(client, given, problem):
    with pytest.raises(Exception, match=problem):
        client.predict("Hi!", api_name="/chat", **given)


def test_only_the_chat_is_public(client):
    api = client.view_api(return_format="dict")["named_endpoints"]
    assert [*api] == ["/chat"]
    names = [each["parameter_name"] for each in api["/chat"]["parameters"]]
    assert names == [
        "message",
        "persona",
        "temperature",
        "top_p",
        "top_k",
        "max_new_tokens",
        "best_of",
        "seed",
        "consent",
    ]


def test_the_health_is_told(address, engine):
    import httpx

    answer = httpx.get(f"{address}/health")
    assert answer.status_code == 200 and answer.json() == {"status": "ok", "model": engine.name}


def test_a_closed_engine_is_not_healthy(model_folder):
    import httpx

    from chat.engine import load_engine

    engine = load_engine(str(model_folder), engine="torch")
    with served(engine) as address:
        engine.close()
        assert httpx.get(f"{address}/health").status_code == 503


def test_the_chat_is_the_one_mcp_tool(address):
    import asyncio

    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def ask():
        async with (
            streamablehttp_client(f"{address}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            return tools, await session.call_tool(
                tools[0].name, {"message": "Hi!", "persona": "I am a cook."}
            )

    [tool], answer = asyncio.run(ask())
    assert tool.name == "chat" and "makes things up" in tool.description
    assert not answer.isError and answer.content[0].text


def test_the_page_says_which_model_it_is_and_what_it_learnt_from(engine):
    from chat.page.layout import build_page

    page = build_page(engine, corpora=["cornell", "daily_dialog"])
    text = " ".join(str(getattr(block, "value", "")) for block in page.blocks.values())
    assert engine.name in text and "makes things up" in text
    assert "Cornell Movie-Dialogs" in text and "DailyDialog" in text
    [chatbot] = [block for block in page.blocks.values() if type(block).__name__ == "TextChatbot"]
    assert not chatbot.render_markdown and chatbot.sanitize_html


def ends_soon(what: str, seconds: float) -> bool:
    """Whether no thread of this name is left after so many seconds."""
    deadline = time.monotonic() + seconds
    while any(thread.name == what for thread in threading.enumerate()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


LONG_REPLY = {"temperature": 1.5, "top_p": 1.0, "top_k": 0, "max_new_tokens": 200}


def test_stopping_ends_the_computation(slow_address):
    import gradio_client

    job = gradio_client.Client(slow_address, verbose=False).submit("Hi!", "", **LONG_REPLY, api_name="/chat")
    for _ in job:
        break
    assert not ends_soon("chat-generate", 0.1)
    job.cancel()
    assert ends_soon("chat-generate", 1.0)


def test_a_lost_connection_ends_the_computation(slow_address):
    import httpx

    with httpx.Client(base_url=slow_address, timeout=30) as http:
        config = http.get("config").json()
        [chat] = [each for each in config["dependencies"] if each["api_name"] == "chat"]
        values = ["Hi!", None, "", *LONG_REPLY.values(), 1, -1, False, None]
        assert len(values) == len(chat["inputs"])
        asked = {"data": values, "fn_index": chat["id"], "session_hash": "lost"}
        http.post("gradio_api/queue/join", json=asked).raise_for_status()
        with http.stream("GET", "gradio_api/queue/data", params={"session_hash": "lost"}) as events:
            for line in events.iter_lines():
                if "process_generating" in line:
                    break
    assert ends_soon("chat-generate", 1.0)


def kept(folder) -> list[dict]:
    lines = [path.read_text(encoding="utf-8").splitlines() for path in sorted(folder.rglob("*.jsonl"))]
    return [json.loads(line) for each in lines for line in each]


def test_nothing_is_kept_without_consent(engine, tmp_path):
    import gradio_client

    from chat.feedback import FeedbackLog

    folder = tmp_path / "feedback"
    with served(engine, FeedbackLog(folder)) as address:
        client = gradio_client.Client(address, verbose=False)
        client.predict("My secret is blue.", max_new_tokens=5, api_name="/chat")
        assert not folder.exists()
        client.predict("Keep this.", max_new_tokens=5, consent=True, api_name="/chat")
        client.predict("My secret is green.", max_new_tokens=5, consent=False, api_name="/chat")
    [found] = kept(folder)
    assert found["message"] == "Keep this." and found["reply"] and "secret" not in json.dumps(found)
