"""Many visitors at once: every message is answered or told "busy", nobody reads another's conversation."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chat.page.conftest import served
from tests.chat.test_load import JOBS, MARKERS, QUESTIONS, resident_bytes

VISITORS, MESSAGES = 32, 10


def converse(address: str, number: int) -> tuple[list[str], int]:
    """The replies to one visitor, and how often they were told that it is busy."""
    import gradio_client

    client = gradio_client.Client(address, verbose=False)
    persona = f"My name is {MARKERS[number]}.\nI work as a {JOBS[number % len(JOBS)]}."
    replies, busy = [], 0
    for turn in range(MESSAGES):
        try:
            question = QUESTIONS[turn % len(QUESTIONS)]
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
def test_many_visitors_at_once(pocket):
    with served(pocket) as address:
        converse_at_once(address)
        before = resident_bytes()
        found = converse_at_once(address)
        assert resident_bytes() < 1.1 * before
    assert all(len(replies) + busy == MESSAGES for replies, busy in found)
    assert sum(len(replies) for replies, _ in found) >= 0.9 * VISITORS * MESSAGES
    own = 0
    for number, (replies, _) in enumerate(found):
        said = " ".join(replies)
        own += MARKERS[number] in said
        assert not [each for each in MARKERS if each in said and each != MARKERS[number]]
    assert own > 0


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
