"""Many visitors at once: every message is answered or told "busy", nobody reads another's conversation."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chat.page.conftest import served
from tests.chat.test_load import JOBS, MARKERS, QUESTIONS, resident_bytes

VISITORS, MESSAGES = 32, 10


def converse(address: str, number: int) -> tuple[list[str], int]:
    """The replies to one visitor, and how often they were told that it is busy."""
    import gradio_client

    client = gradio_client.Client(address, verbose=False)
    marker, job = MARKERS[number], JOBS[number % len(JOBS)]
    persona = f"My name is {marker}.\nI work as a {job}."
    replies, busy = [], 0
    for turn in range(MESSAGES):
        try:
            question = f"{QUESTIONS[turn % len(QUESTIONS)]} It is {marker} who asks."
            replies.append(client.predict(question, persona, seed=number, api_name="/chat"))
        except Exception as error:
            assert "busy" in str(error) or "full" in str(error), error
            busy += 1
    client.close()
    return replies, busy


def converse_at_once(address: str) -> list[tuple[list[str], int]]:
    with ThreadPoolExecutor(VISITORS) as pool:
        return [*pool.map(lambda number: converse(address, number), range(VISITORS))]


@pytest.mark.slow
def test_many_visitors_at_once(pocket, monkeypatch):
    asked: list[list[dict]] = []
    stream = pocket.stream

    def noted(messages, settings=None):
        asked.append([*messages])
        return stream(messages, settings)

    monkeypatch.setattr(pocket, "stream", noted)
    with served(pocket) as address:
        converse_at_once(address)
        asked.clear()
        before, started = resident_bytes(), time.monotonic()
        found = converse_at_once(address)
        seconds, after = time.monotonic() - started, resident_bytes()
    answered, busy = sum(len(replies) for replies, _ in found), sum(told for _, told in found)
    figures = (
        f"{answered} answered, {busy} told busy in {seconds:.0f} s; {before >> 20} MiB, then {after >> 20}"
    )
    print(figures)
    assert after < 1.1 * before, figures
    assert all(len(replies) + told == MESSAGES for replies, told in found)
    assert answered >= 0.9 * VISITORS * MESSAGES
    for number, (replies, _) in enumerate(found):
        assert not others(number, " ".join(replies))
    # Whatever the model says of it: what it was asked holds one visitor's words alone, and all of them.
    longest = [0] * VISITORS
    for messages in asked:
        [number] = [place for place, marker in enumerate(MARKERS) if marker in messages[0]["content"]]
        assert not others(number, " ".join(each["content"] for each in messages))
        longest[number] = max(longest[number], sum(each["role"] == "user" for each in messages))
    assert longest == [len(replies) for replies, _ in found]


def others(number: int, text: str) -> list[str]:
    """The markers of other visitors in a text."""
    return [each for each in MARKERS if each in text and each != MARKERS[number]]


@pytest.mark.slow
def test_more_than_the_queue_holds_are_told_that_it_is_busy(slow_engine):
    from chat.page.layout import build_page
    from chat.page.server import launch
    from chat.page.variables import PageVariables

    page = build_page(slow_engine, concurrent_replies=1)
    variables = PageVariables(slow_engine.name, concurrent_replies=1, queue_size=2, mcp_server=False)
    address = launch(page, slow_engine, variables, quiet=True, server_name="127.0.0.1")
    outcomes: list[str] = []

    def ask() -> None:
        import gradio_client

        client = gradio_client.Client(address, verbose=False)
        try:
            outcomes.append(client.predict("Hi!", "", 1.5, max_new_tokens=60, api_name="/chat"))
        except Exception as error:
            outcomes.append(f"refused: {error}")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=120)
    page.close()
    refused = [each for each in outcomes if each.startswith("refused")]
    assert len(outcomes) == 8 and 1 <= len(refused) <= 6
    assert all("queue" in each.lower() or "busy" in each.lower() for each in refused), refused
