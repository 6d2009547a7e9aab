"""A folder to publish, and a process that publishes it."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from chat.hub import publishing
from tests.hub_server import client_environment
from tests.hub_server.store import Repositories
from tests.processes import python

TOKEN = "hf_OfSomeoneWhoMayWrite"
MODEL = ("model", "someone/chat")
PUBLISH = """
import sys
from chat.cli import run
from chat.hub import publishing
from chat.hub.repositories import Destination, make_ready

publishing.FIRST_WAIT_SECONDS = 0.05

def main():
    destination = Destination("someone/chat")
    if failure := make_ready(destination):
        print("not ready:", failure)
    publishing.publish_model(sys.argv[1], destination, message="Model", tag=sys.argv[2] or None)

run(main)
"""


@pytest.fixture
def repositories() -> Repositories:
    return Repositories(token=TOKEN, part_bytes=100_000)


@pytest.fixture
def folder(tmp_path) -> Path:
    """As a model's: some text, and weights that come in three parts."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "README.md").write_text("---\nlicense: other\n---\n# A model\n")
    (folder / "model.safetensors").write_bytes(os.urandom(250_000))
    (folder / "optimizer.pt").write_bytes(b"pickled")
    (folder / ".notes").write_text("hidden")
    return folder


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """The seconds between the tries, which nobody waits for.

    In that module alone: other threads here sleep as well, such as those of a page's clients, which poll.
    """
    found: list[float] = []
    monkeypatch.setattr(publishing, "time", SimpleNamespace(sleep=found.append))
    return found


@pytest.fixture
def publish(tmp_path, folder):
    """A function: publishes the folder in a process of its own."""

    def run(endpoint: str, token: str = TOKEN, tag: str = ""):
        environment = client_environment(endpoint, tmp_path / "home", token)
        return python("-c", PUBLISH, folder, tag, environment=environment)

    return run
