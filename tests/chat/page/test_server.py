"""How the page is served."""

import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock
from urllib.request import ProxyHandler, build_opener

import pytest

from chat.cli import UserError
from chat.page import server
from chat.page.guard import CLOSED, MAX_REQUEST_BYTES
from chat.page.layout import build_page
from chat.page.server import feedback_log, has_screen, launch, wait_for_end
from chat.page.variables import PageVariables


@pytest.mark.parametrize(
    ("platform", "at_terminal", "display", "expected"),
    [
        ("linux", True, {"DISPLAY": ":0"}, True),
        ("linux", True, {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", True, {}, False),
        ("linux", False, {"DISPLAY": ":0"}, False),
        ("linux", True, {"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "from afar"}, False),
        ("darwin", True, {}, True),
        ("darwin", False, {}, False),
    ],
)
def test_a_browser_opens_only_before_somebody(platform, at_terminal, display, expected, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in display.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: at_terminal)
    assert has_screen() is expected


def test_what_the_server_holds_and_who_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(server, "refuse_downloads", lambda: None)
    page = MagicMock(mcp_server_obj=None)
    page.launch.return_value = (None, "http://here", None)
    assert launch(page, MagicMock(), PageVariables(model="m", queue_size=3)) == "http://here"
    page.queue.assert_called_once_with(max_size=3, api_open=False)
    assert page.launch.call_args.kwargs["state_session_capacity"] == server.MAX_SESSIONS
    page.launch.side_effect = OSError("Cannot find empty port in range: 7860-7860.")
    with pytest.raises(UserError, match=r"GRADIO_SERVER_PORT: Cannot find empty port"):
        launch(page, MagicMock(), PageVariables(model="m"))


def test_what_programs_may_call_is_open_and_nothing_whose_name_begins_like_it():
    """As Gradio would name a second function `chat`: `chat_1`."""
    for way in ("call", "call/v2", "api"):
        assert not CLOSED.search(f"/gradio_api/{way}/chat") and CLOSED.search(f"/gradio_api/{way}/chat_1")
    # What `conversations.js` lets through, where each character takes six.
    assert MAX_REQUEST_BYTES >= 6 * 2_000_000


@pytest.mark.parametrize(
    ("proxies", "direct"),
    [
        ({"http_proxy": "http://127.0.0.1:9"}, "127.0.0.1,localhost"),
        ({"http_proxy": "http://127.0.0.1:9", "no_proxy": "intranet"}, "intranet,127.0.0.1,localhost"),
        ({"http_proxy": "http://127.0.0.1:9", "no_proxy": "*"}, "*"),
        ({}, None),
    ],
)
def test_what_needs_no_proxy_still_needs_none(monkeypatch, proxies, direct):
    # One by one: other threads read the environment as well.
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for each in (name, name.upper()):
            monkeypatch.setenv(each, proxies.get(each, ""))
            if each not in proxies:
                monkeypatch.delenv(each)
    server._past_proxies("127.0.0.1", "localhost", "")
    assert os.environ.get("no_proxy") == direct


def test_at_the_end_what_was_kept_is_pushed_once_nobody_is_served_any_more(monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    # In that module alone: other threads here sleep as well.
    monkeypatch.setattr(server, "time", SimpleNamespace(sleep=interrupted))
    all_of_it = MagicMock()
    wait_for_end(all_of_it.page, all_of_it.engine, all_of_it.log)
    assert [name for name, *_ in all_of_it.method_calls] == ["page.close", "log.close", "engine.close"]
    wait_for_end(all_of_it.page, all_of_it.engine, None)


def test_feedback_may_be_kept_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    variables = SimpleNamespace(keeps_feedback=True, feedback_folder="~/kept", feedback_dataset="")
    assert Path(feedback_log(variables).file).parent == tmp_path / "kept"
    variables.keeps_feedback = False
    assert feedback_log(variables) is None


@pytest.mark.parametrize("name", ["127.0.0.1", "::1"])
def test_it_listens_where_it_should_and_asks_no_proxy_for_itself(pocket, monkeypatch, name):
    if name == "::1" and not socket.has_ipv6:
        pytest.skip("no IPv6")
    for variable, value in {"GRADIO_SERVER_NAME": name, "HTTP_PROXY": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(variable, value)
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "")
    page = build_page(pocket, None)
    try:
        address = launch(page, pocket, PageVariables(pocket.name, mcp_server=False), quiet=True)
        assert address.startswith("http://[::1]:" if name == "::1" else f"http://{name}:")
        with build_opener(ProxyHandler({})).open(f"{address}health", timeout=60) as answer:
            assert answer.status == 200
    finally:
        page.close()
