"""Environment variables of the page: read, checked, and listed in the README."""

import os
import socket
from dataclasses import fields

import pytest

from chat.cli import UserError
from chat.page.variables import PageVariables
from tests.conftest import ROOT


def test_what_is_not_set_takes_the_default():
    found = PageVariables.from_environment({"MODEL_ID": "user/model", "QUEUE_SIZE": " "})
    assert found == PageVariables(model="user/model")


def test_each_is_read():
    given = {
        "MODEL_ID": "m",
        "ENGINE": "Torch",
        "CONCURRENT_REPLIES": "2",
        "QUEUE_SIZE": "3",
        "FEEDBACK_FOLDER": "kept",
        "FEEDBACK_DATASET": "user/kept",
        "GRADIO_MCP_SERVER": "false",
    }
    assert PageVariables.from_environment(given) == PageVariables(
        "m", "torch", 2, 3, "kept", "user/kept", False
    )
    assert len(given) == len(fields(PageVariables))


def test_a_model_may_lie_at_home():
    given = {"MODEL_ID": "~/final_model"}
    assert PageVariables.from_environment(given).model == os.path.expanduser("~/final_model")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("ENGINE", "gpu", "give one of auto, torch, openvino"),
        ("CONCURRENT_REPLIES", "0", "give a whole number from 1 to 32"),
        ("CONCURRENT_REPLIES", "many", "give a whole number from 1 to 32"),
        ("QUEUE_SIZE", "9999", "give a whole number from 1 to 1000"),
        ("QUEUE_SIZE", "²", "give a whole number from 1 to 1000"),
        ("GRADIO_MCP_SERVER", "perhaps", "give true or false"),
        ("GRADIO_SERVER_PORT", "http", "give a whole number from 1 to 65535"),
        ("GRADIO_SERVER_PORT", "70000", "give a whole number from 1 to 65535"),
        ("CONTENT_GUARD", "perhaps", "give on or off"),
        ("GRADIO_SERVER_NAME", "192.0.2.1", "no address of this machine"),
        ("GRADIO_SERVER_NAME", "no such name", "no address of this machine"),
        ("FEEDBACK_FOLDER", f"{__file__}/kept", "cannot be written to; give another folder, or off"),
        ("FEEDBACK_FOLDER", "~nobody such/kept", "cannot be written to; give another folder, or off"),
        ("FEEDBACK_FOLDER", "False", "give off, or ./False for a folder of this name"),
        # Which root may write to, by its rights.
        ("FEEDBACK_FOLDER", "/proc/kept", "cannot be written to; give another folder, or off"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_names_it(name, value, problem):
    with pytest.raises(UserError) as error:
        PageVariables.from_environment({"MODEL_ID": "m", name: value})
    assert str(error.value).startswith(f"{name} {value}") and problem in str(error.value)


@pytest.mark.parametrize("name", ["127.0.0.1", "0.0.0.0", "localhost", "::1"])
def test_addresses_of_this_machine_are_taken(name):
    if name == "::1" and not socket.has_ipv6:
        pytest.skip("no IPv6")
    assert PageVariables.from_environment({"MODEL_ID": "m", "GRADIO_SERVER_NAME": name})
    assert PageVariables.from_environment({"MODEL_ID": "m", "GRADIO_SERVER_NAME": f"[{name}]"})


def test_a_folder_for_feedback_is_made_when_it_is_needed(tmp_path):
    folder = tmp_path / "a" / "b"
    found = PageVariables.from_environment({"MODEL_ID": "m", "FEEDBACK_FOLDER": str(folder)})
    assert found.feedback_folder == str(folder) and not folder.parent.exists()


def test_an_empty_port_is_none(monkeypatch):
    """Gradio itself ends in a traceback."""
    monkeypatch.setenv("GRADIO_SERVER_PORT", " ")
    monkeypatch.setenv("MODEL_ID", "m")
    PageVariables.from_environment()
    assert "GRADIO_SERVER_PORT" not in os.environ


def test_a_dataset_without_a_log_is_an_error():
    with pytest.raises(UserError, match="FEEDBACK_DATASET"):
        PageVariables.from_environment(
            {"MODEL_ID": "m", "FEEDBACK_FOLDER": "OFF", "FEEDBACK_DATASET": "user/kept"}
        )


def test_the_readme_lists_them():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for each in fields(PageVariables):
        assert f"| `{each.metadata['variable']}` | {each.metadata['help']} |" in readme
