"""The Space as the Hub runs it: its own requirements in a clean environment, and a visitor who asks."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import gradio_client
import httpx2
import pytest

from tests.conftest import ROOT
from tests.processes import free_port, serving

pytestmark = pytest.mark.slow

PIP = ["-m", "pip", "--disable-pip-version-check", "-q"]
STARTS_WITHIN_SECONDS = 600
# What the tests' own environment tells Python and us is not to reach the Space.
FOREIGN = ("PYTHON", "VIRTUAL_ENV", "XDG_", "GPT2_CHAT_", "HF_", "GRADIO_", "FEEDBACK_")
FOREIGN += ("MODEL_ID", "ENGINE", "CONTENT_GUARD", "CONCURRENT_REPLIES", "QUEUE_SIZE")


def run(*command: str | Path, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=3000, **options)


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("upload") / "space"
    done = run(sys.executable, "-m", "chat.space", "--output", folder, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def clean_python(space, tmp_path_factory) -> Path:
    """Of a virtual environment with the Space's requirements and nothing else."""
    home = tmp_path_factory.mktemp("clean")
    probe = run(sys.executable, *PIP, "download", "--no-deps", "-d", home / "probe", "sentencex")
    if probe.returncode:
        pytest.skip(f"no package index can be reached: {probe.stderr.strip().splitlines()[-1]}")
    run(sys.executable, "-m", "venv", home / "venv", check=True)
    python = home / "venv" / "bin" / "python"
    done = run(python, *PIP, "install", "--no-compile", "-r", space / "requirements.txt")
    assert done.returncode == 0, done.stderr
    yield python
    shutil.rmtree(home / "venv")


@contextmanager
def started(python: Path, space: Path, home: Path, **variables: str):
    """The Space's page as it starts on the Hub: `python app.py` in the folder; yields its address."""
    port = free_port()
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    own |= {"HOME": str(home), "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    own |= {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), **variables}
    with serving([python, "app.py"], port, home / "log.txt", STARTS_WITHIN_SECONDS, cwd=space, env=own) as (
        address,
        _,
    ):
        yield address


def test_it_starts_and_answers(clean_python, space, tmp_path):
    with started(clean_python, space, tmp_path) as address:
        assert httpx2.get(f"{address}/health").json()["model"] == "models/pocket"
        client = gradio_client.Client(address, verbose=False)
        asked = {"persona": "I have two cats. I work as a nurse.", "seed": 1, "api_name": "/chat"}
        reply = client.predict("What do you do for work?", **asked)
        assert reply.strip() and reply == gradio_client.Client(address, verbose=False).predict(
            "What do you do for work?", **asked
        )
    # The export that comes with the model is used: at the start nothing is computed or downloaded.
    assert not (tmp_path / ".cache" / "gpt2-chat").exists()


def test_a_model_without_an_export_is_exported_there(clean_python, space, model_folder, tmp_path):
    with started(clean_python, space, tmp_path, MODEL_ID=str(model_folder), ENGINE="openvino") as address:
        client = gradio_client.Client(address, verbose=False)
        assert client.predict("Hi!", "", max_new_tokens=8, api_name="/chat")
    assert list((tmp_path / ".cache" / "gpt2-chat").iterdir())
