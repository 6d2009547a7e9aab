"""The thread that pushes: the newest first, again after failures, and never in the caller's way."""

import threading
import time

import httpx2
import pytest
from huggingface_hub.errors import HfHubHTTPError

from chat.cli import UserError
from chat.hub import background
from chat.hub.background import NewestPush, Push
from chat.hub.repositories import Destination
from tests.conftest import wait_until


class Hub:
    """Takes what is pushed, after failures; notes what was discarded."""

    def __init__(self):
        self.taken, self.discarded, self.failures = [], [], []
        self.begun, self.may_go_on = threading.Event(), threading.Event()
        self.may_go_on.set()

    def push(self, name: str) -> Push:
        def action():
            self.begun.set()
            assert self.may_go_on.wait(10)
            if self.failures:
                raise self.failures.pop(0)
            self.taken.append(name)

        return Push(name, action, lambda: self.discarded.append(name))


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(background, "FIRST_WAIT_SECONDS", 0.01)
    return Hub()


@pytest.fixture
def pushes():
    found = NewestPush(Destination("someone/chat"))
    yield found
    # Else a test that fails would leave the thread, and all others without progress bars.
    found.close(attempts=1)


def test_what_waits_gives_way_to_what_is_newer(hub, pushes):
    hub.may_go_on.clear()
    pushes.submit(hub.push("first"))
    assert hub.begun.wait(10)
    pushes.submit(hub.push("second"))
    pushes.submit(hub.push("third"))
    assert hub.discarded == ["second"] and not hub.taken
    hub.may_go_on.set()
    assert pushes.close() is None
    assert hub.taken == ["first", "third"] and hub.discarded == ["second", "first", "third"]


def test_it_leaves_the_programs_progress_bars_as_they_were(hub):
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    for change, expected in ((enable_progress_bars, False), (disable_progress_bars, True)):
        change()
        pushes = NewestPush(Destination("someone/chat"))
        assert are_progress_bars_disabled()
        pushes.close()
        assert are_progress_bars_disabled() is expected
    enable_progress_bars()


def test_a_failure_is_logged_and_tried_again(hub, pushes, caplog):
    hub.failures = [ConnectionError("it broke hf_abcdefgh"), ConnectionError("again")]
    pushes.submit(hub.push("first"))
    assert pushes.close() is None
    assert hub.taken == hub.discarded == ["first"]
    assert len(caplog.messages) == 2 and "hf_abc" not in caplog.text
    assert caplog.messages[0].startswith(
        "--push-to-hub someone/chat: first is not on the Hub yet (it broke hf_...); trying again in "
    )


def test_a_newer_one_takes_the_place_of_one_that_failed(hub, pushes, caplog):
    hub.failures = [UserError("--push-to-hub someone/chat: no rights; ask for them")]
    pushes.submit(hub.push("first"))
    wait_until(lambda: caplog.messages)
    # Nothing is tried till there is something new.
    pushes._thread.join(0.2)
    assert not hub.taken
    pushes.submit(hub.push("second"))
    assert pushes.close() is None
    assert hub.taken == ["second"] and hub.discarded == ["first", "second"]


def test_what_cannot_be_pushed_is_told_at_the_end_and_kept(hub, pushes):
    hub.failures = [ConnectionError("down")] * 99
    pushes.submit(hub.push("first"))
    failure = pushes.close(attempts=3)
    assert failure.reason == "down" and not failure.is_lasting
    assert not hub.taken and not hub.discarded


@pytest.mark.parametrize(("pause_seconds", "failures"), [(600.0, 1), (20.0, 2)])
def test_the_end_does_not_wait_as_long_as_an_outage_had_made_it_wait(hub, pushes, pause_seconds, failures):
    """Neither at first nor for a further try."""
    pushes._pause_seconds = pause_seconds
    hub.failures = [ConnectionError("down")] * failures
    pushes.submit(hub.push("first"))
    assert hub.begun.wait(10)
    begun = time.monotonic()
    assert pushes.close(attempts=1 + failures) is None
    assert hub.taken == ["first"] and time.monotonic() - begun < 10


def test_after_an_outage_the_next_failure_is_tried_again_as_soon_as_the_first(hub, pushes):
    pushes._pause_seconds = 600.0
    pushes.submit(hub.push("first"))
    wait_until(lambda: hub.taken)
    hub.failures = [ConnectionError("down")]
    pushes.submit(hub.push("second"))
    wait_until(lambda: len(hub.taken) == 2, seconds=5)
    assert hub.taken == ["first", "second"] and pushes.close() is None


def test_what_fails_while_a_newer_one_waits_is_not_tried_again(hub, pushes):
    hub.may_go_on.clear()
    hub.failures = [ConnectionError("down")]
    pushes.submit(hub.push("first"))
    assert hub.begun.wait(10)
    pushes.submit(hub.push("second"))
    hub.may_go_on.set()
    assert pushes.close() is None
    assert hub.taken == ["second"] and hub.discarded == ["first", "second"]


def test_the_hub_says_how_long_to_wait_and_a_user_is_told_what_to_do(hub, pushes, caplog):
    answer = httpx2.Response(
        429, headers={"Retry-After": "70"}, request=httpx2.Request("POST", "https://hub/api/models/someone")
    )
    hub.failures = [HfHubHTTPError("too many", response=answer)]
    pushes.submit(hub.push("first"))
    wait_until(lambda: caplog.messages)
    assert caplog.messages[0].endswith("too many requests to the Hub (429)); trying again in 70 s")
    hub.failures = [UserError("no rights; ask for them")]
    pushes.submit(hub.push("second"))
    assert pushes.close(attempts=1).remedy == "ask for them"
    assert hub.discarded == ["first"]


@pytest.mark.parametrize(
    ("error", "tries"), [(ConnectionError("down"), 1 + 3), (UserError("no rights; ask for them"), 1 + 1)]
)
def test_at_the_end_it_is_tried_so_often_where_that_may_help(hub, pushes, caplog, error, tries):
    pushes._pause_seconds = 600.0
    hub.failures = [error] * 9
    pushes.submit(hub.push("first"))
    wait_until(lambda: caplog.messages)
    assert pushes.close(attempts=3) is not None
    assert len(hub.failures) == 9 - tries


def test_an_interval_is_kept_but_not_at_the_end(hub, pushes):
    pushes.every_seconds = 3600
    pushes.submit(hub.push("first"))
    wait_until(lambda: hub.taken)
    pushes.submit(hub.push("second"))
    pushes._thread.join(0.2)
    assert hub.taken == ["first"]
    pushes.submit(hub.push("third"))
    assert pushes.close() is None
    assert hub.taken == ["first", "third"]


def test_what_failed_is_tried_again_before_the_interval_is_over(hub, pushes):
    pushes.every_seconds = 3600
    hub.failures = [ConnectionError("down")]
    pushes.submit(hub.push("first"))
    wait_until(lambda: hub.taken, seconds=10)
    assert hub.taken == ["first"] and pushes.close() is None
