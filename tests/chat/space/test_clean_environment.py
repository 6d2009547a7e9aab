"""The Space as the Hub runs it: its own requirements in a clean environment, and a visitor who asks."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import gradio_client
import httpx2
import pytest

from tests.conftest import ROOT

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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    own |= {"HOME": str(home), "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    own |= {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": port, **variables}
    log, address = home / "log.txt", f"http://127.0.0.1:{port}"
    with open(log, "w") as output:
        page = subprocess.Popen([python, "app.py"], cwd=space, env=own, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        while not _is_healthy(address):
            assert page.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield address
    finally:
        page.terminate()
        page.wait(timeout=60)


def _is_healthy(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/health").status_code == 200
    except httpx2.HTTPError:
        return False


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
