"""What goes wrong in a push: nothing is lost, nothing half there, and a second try completes."""

import signal

import pytest

from tests.chat.hub.conftest import MODEL, PUBLISH, TOKEN
from tests.hub_server import client_environment, hub
from tests.processes import contents, free_port, mentions, started

PUBLISHED = {"config.json", "README.md", "model.safetensors"}
PASSING = {
    "the Hub fails at the commit": {"pattern": "POST .*/commit/", "status": 500, "times": 2},
    "the Hub fails at each step": {"pattern": "^(POST|PUT) ", "status": 503, "times": 2},
    "too many requests": {"pattern": "POST .*/commit/", "status": 429, "headers": {"Retry-After": "1"}},
    "a reset in mid-upload": {"pattern": "PUT /storage/", "reset_after_bytes": 65_536},
    "a reset in mid-commit": {"pattern": "POST .*/commit/", "reset_after_bytes": 100},
    "the answer is lost": {"pattern": "POST .*/commit/", "answer_is_lost": True},
}
SLOW = {"the Hub fails at each step", "a reset in mid-commit", "the Hub fails at the commit"}


def whole(repositories, folder) -> bool:
    return repositories.contents(MODEL) == {name: contents(folder)[name] for name in PUBLISHED}


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in PASSING]
)
def test_what_passes_is_tried_again(fault, repositories, folder, publish, tmp_path):
    repositories.faults.add(**PASSING[fault])
    with hub(repositories) as endpoint:
        done = publish(endpoint)
    assert done.returncode == 0, done.stderr
    assert whole(repositories, folder) and repositories.messages(MODEL) == ["Model"]
    assert fault != "too many requests" or "trying again in 1 s" in done.stderr
    assert not mentions(TOKEN, tmp_path, done.stdout, done.stderr)


LASTING = {
    "the Hub fails": ({"status": 500}, "the Hub has a failure of its own (500", "try again later"),
    "no rights": ({"status": 403}, "the Hub refuses the token (403", "set HF_TOKEN to a token that may"),
    "too many requests": ({"status": 429}, "too many requests to the Hub (429)", "wait a few minutes"),
    "a reset": ({"reset_after_bytes": 10}, "the Hub cannot be reached (", "check the network"),
}


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=[pytest.mark.slow] * (name != "no rights")) for name in LASTING]
)
def test_what_does_not_pass_says_what_to_do(fault, repositories, folder, publish, tmp_path):
    options, reason, remedy = LASTING[fault]
    repositories.faults.add("POST .*/commit/", times=99, **options)
    before = contents(folder)
    with hub(repositories) as endpoint:
        failed = publish(endpoint)
        assert failed.returncode == 2 and "Traceback" not in failed.stderr, failed.stderr
        error = failed.stderr.splitlines()[-1]
        assert error.startswith(
            f"error: --push-to-hub someone/chat: {folder} is not on the Hub, but whole on"
        )
        assert reason in error and remedy in error and error.endswith(", then give the same command again")
        assert not repositories.contents(MODEL) and contents(folder) == before
        repositories.faults.clear()
        done = publish(endpoint)
    assert done.returncode == 0 and whole(repositories, folder), done.stderr
    assert not mentions(TOKEN, tmp_path, failed.stderr, done.stderr)


@pytest.mark.slow
def test_a_hub_that_is_not_there(folder, publish, repositories):
    port = free_port()
    failed = publish(f"http://127.0.0.1:{port}")
    assert failed.returncode == 2 and "Traceback" not in failed.stderr, failed.stderr
    assert (
        "not ready: the Hub cannot be reached (" in failed.stdout and "; check the network" in failed.stdout
    )
    with hub(repositories, port) as endpoint:
        done = publish(endpoint)
    assert done.returncode == 0 and whole(repositories, folder), done.stderr


def test_a_wrong_token_is_neither_taken_nor_told(repositories, publish, tmp_path):
    with hub(repositories) as endpoint:
        failed = publish(endpoint, token="hf_OfNobodyAtAll")
    assert failed.returncode == 2 and not repositories.exists(MODEL)
    assert "the Hub refuses the token (401: Invalid credentials" in failed.stderr
    assert "set HF_TOKEN to a token that may do this" in failed.stderr
    assert not mentions("hf_OfNobodyAtAll", tmp_path, failed.stdout, failed.stderr)


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("POST /api/repos/create", marks=pytest.mark.slow),
        pytest.param("PUT /storage/.+/2", marks=pytest.mark.slow),
        pytest.param("POST .*/complete-multipart", marks=pytest.mark.slow),
        "POST .*/commit/",
    ],
)
def test_killed_in_mid_push(moment, repositories, folder, publish, tmp_path):
    fault = repositories.faults.add(moment, hangs=True)
    before = contents(folder)
    with hub(repositories) as endpoint:
        environment = client_environment(endpoint, tmp_path / "home", TOKEN)
        with started("-c", PUBLISH, folder, "v1", environment=environment) as process:
            assert fault.reached.wait(timeout=60)
            process.send_signal(signal.SIGKILL)
            said = process.communicate(timeout=60)[0]
        repositories.faults.clear()
        assert not repositories.exists(MODEL) or not repositories.contents(MODEL)
        assert contents(folder) == before
        done = publish(endpoint, tag="v1")
    assert done.returncode == 0 and whole(repositories, folder), done.stderr
    assert repositories.messages(MODEL, "v1") == ["Model"]
    assert not mentions(TOKEN, tmp_path, said, done.stderr)


def test_a_token_in_what_the_hub_says_is_not_told(repositories, publish, tmp_path):
    fault = {"status": 400, "message": f"Bad token {TOKEN} or hf_AnotherToken123"}
    repositories.faults.add("POST .*/commit/", **fault)
    with hub(repositories) as endpoint:
        failed = publish(endpoint)
    assert failed.returncode == 2 and "Bad token hf_... or hf_..." in failed.stderr
    assert not mentions(TOKEN, tmp_path, failed.stdout, failed.stderr)
