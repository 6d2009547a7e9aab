"""The image without Docker: what its files say, and what they copy, served as the image would serve it."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.processes import free_port

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = re.findall(r"^([A-Z]+) (.+)$", re.sub(r"\\\n\s*", "", DOCKERFILE), re.MULTILINE)
NOBODY = 65534


def instructions(name: str) -> list[str]:
    return [rest for each, rest in INSTRUCTIONS if each == name]


def in_context(path: Path) -> bool:
    """Whether `.dockerignore` lets a file of the repository in; its last matching line decides."""
    parts = path.relative_to(ROOT).parts
    prefixes = ["/".join(parts[: length + 1]) for length in range(len(parts))]
    let_in = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split():
        pattern = line.removeprefix("!").removeprefix("**/")
        names = parts if line.startswith("**/") else prefixes
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            let_in = line.startswith("!")
    return let_in


def copied(target: Path) -> None:
    """What the image holds in /app."""
    for instruction in instructions("COPY"):
        source, destination = shlex.split(instruction)
        files = [ROOT / source] if (ROOT / source).is_file() else (ROOT / source).rglob("*")
        for file in files:
            if file.is_file() and in_context(file):
                inside = file.relative_to(ROOT / source) if (ROOT / source).is_dir() else file.name
                (target / destination / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target / destination / inside)


def variables() -> dict[str, str]:
    return dict(word.split("=", 1) for line in instructions("ENV") for word in shlex.split(line))


def test_the_versions_are_those_of_the_requirements():
    [torch] = re.findall(r"torch==\S+", DOCKERFILE)
    assert torch in (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    python = tuple(map(int, re.search(r"FROM python:(\d+)\.(\d+)", DOCKERFILE).groups()))
    assert python >= (3, 11)


def test_it_runs_as_a_user_without_rights_who_can_write_where_it_must():
    assert instructions("USER") == ["chat"]
    assert INSTRUCTIONS.index(("USER", "chat")) < INSTRUCTIONS.index(("CMD", instructions("CMD")[0]))
    made = " ".join(instructions("RUN"))
    for folder in json.loads(instructions("VOLUME")[0]):
        assert re.search(rf"chown -R chat:chat.*{re.escape(folder)}", made)
    assert variables()["FEEDBACK_FOLDER"] in json.loads(instructions("VOLUME")[0])


def test_the_context_holds_what_is_copied_and_nothing_private(tmp_path):
    copied(tmp_path)
    files_of_page = [f"chat/page/{name}" for name in ("conversations.js", "page.js", "page.css")]
    for needed in ("app.py", *files_of_page, "chat/chat_template.jinja"):
        assert (tmp_path / needed).is_file()
    assert (tmp_path / "models/pocket/model.safetensors").is_file()
    for kept_out in (".git/config", ".venv/pyvenv.cfg", "feedback/talk.jsonl", "final_model/config.json"):
        assert not in_context(ROOT / kept_out)


def test_compose_starts_it_with_the_same_folders_and_the_pages_variables():
    from dataclasses import fields

    from chat.feedback import LAST_PUSH_SECONDS
    from chat.page.variables import PageVariables

    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    service = compose["services"]["chat"]
    named = {each.partition(":")[0]: each.split(":")[1] for each in service["volumes"]}
    assert set(named) == set(compose["volumes"])
    assert set(named.values()) == set(json.loads(instructions("VOLUME")[0]))
    assert service["ports"][0].endswith(f":{instructions('EXPOSE')[0]}")
    assert {each.metadata["variable"] for each in fields(PageVariables)} <= set(service["environment"])
    # As compose fills them in where none is set in its environment.
    defaults = {
        name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value) for name, value in service["environment"].items()
    }
    found = PageVariables.from_environment(defaults | {"MODEL_ID": "models/pocket"})
    assert found == PageVariables("models/pocket", feedback_folder="/app/feedback")
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert int(service["stop_grace_period"].removesuffix("s")) > LAST_PUSH_SECONDS + 10


def can_be_nobody() -> bool:
    """Whether this process may run Python as a user without rights."""
    if os.geteuid() != 0:
        return False
    try:
        done = subprocess.run([sys.executable, "-c", "import torch"], user=NOBODY, capture_output=True)
    except PermissionError:
        return False
    return done.returncode == 0


def files_in(folder: Path) -> set[Path]:
    """Without the stubs that Gradio writes beside components, where it may."""
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".pyi", ".pyc")}


@pytest.mark.slow
def test_what_it_copies_serves_the_page_to_a_user_who_may_write_nothing_else(tmp_path):
    import gradio_client

    app, home = tmp_path / "app", tmp_path / "home"
    copied(app)
    shutil.rmtree(app / "models/pocket/openvino", ignore_errors=True)
    for folder in (app / "feedback", home / ".cache"):
        folder.mkdir(parents=True)
    for folder in (app, *(each for each in app.rglob("*") if each.is_dir() and each.name != "feedback")):
        folder.chmod(0o555)
    nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if can_be_nobody() else {}
    if nobody:
        for folder in (home, home / ".cache", app / "feedback"):
            os.chown(folder, NOBODY, NOBODY)
        for parent in [tmp_path, *tmp_path.parents][:3]:
            parent.chmod(0o755)
    before = files_in(app)
    port = str(free_port())
    # A proxy as Docker's own configuration sets it in each container, here one that is not there.
    own = {
        "GRADIO_SERVER_PORT": port,
        "FEEDBACK_FOLDER": str(app / "feedback"),
        "HTTP_PROXY": "http://[::1]:9",
    }
    environment = variables() | own | {"HOME": str(home), "PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1"}
    started = json.loads(instructions("CMD")[0])
    [health] = re.findall(r"CMD (\[.*\])", instructions("HEALTHCHECK")[0])
    log = (tmp_path / "log").open("wb")
    server = subprocess.Popen(
        [sys.executable, *started[1:]],
        cwd=app,
        env=environment,
        stdout=log,
        stderr=log,
        **nobody,
    )
    try:
        check = [sys.executable, *json.loads(health)[1:]]
        deadline = time.monotonic() + 300
        while subprocess.run(check, env=environment, capture_output=True).returncode:
            assert server.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(1)
        client = gradio_client.Client(f"http://127.0.0.1:{port}", verbose=False)
        assert client.predict("Do you have any pets?", consent=True, api_name="/chat")
        assert [*(app / "feedback").glob("*.jsonl")]
        client.close()
        assert {path for path in files_in(app) - before if path.parent.name != "feedback"} == set()
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0, (tmp_path / "log").read_text()
    finally:
        server.kill()
        log.close()
    assert "Traceback" not in (tmp_path / "log").read_text()
