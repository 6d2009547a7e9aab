"""`app.py`: what the variables say reaches engine, page and server."""

import sys

import pytest

import app
from chat.cli import UserError


@pytest.mark.usefixtures("sigterm")
def test_what_is_asked_for_reaches_its_place(monkeypatch):
    given = {"MODEL_ID": "m", "ENGINE": "torch", "CONCURRENT_REPLIES": "3", "FEEDBACK_FOLDER": "off"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["app.py"])
    called = {}
    for place in (
        "chat.engine.load_engine",
        "chat.page.about.corpora_of",
        "chat.page.layout.build_page",
        "chat.page.server.feedback_log",
        "chat.page.server.launch",
        "chat.page.server.wait_for_end",
    ):
        name = place.rpartition(".")[2]

        def note(*values, name=name, **named):
            called[name] = (values, named)
            return name

        monkeypatch.setattr(place, note)
    app.main()

    assert called["load_engine"] == (("m",), {"flag": "MODEL_ID", "engine": "torch"})
    assert called["build_page"] == (("load_engine", "feedback_log", 3, "corpora_of"), {})
    page, engine, variables = called["launch"][0]
    assert (page, engine, variables.model) == ("build_page", "load_engine", "m")
    assert called["wait_for_end"] == (("build_page", "load_engine", "feedback_log"), {})


def test_flags_are_not_passed_over(monkeypatch, capsys):
    """Somebody may take them for the terminal's."""
    monkeypatch.setattr(sys, "argv", ["app.py", "--model", "mine"])
    with pytest.raises(UserError, match=r"^--model: app.py takes no flags; set variables, such as MODEL_ID"):
        app.main()
    monkeypatch.setattr(sys, "argv", ["app.py", "--help"])
    app.main()
    assert "MODEL_ID=user/model python app.py" in capsys.readouterr().out
