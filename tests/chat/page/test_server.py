"""How the page is served."""

import sys

import pytest

from chat.page.server import has_screen


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
