"""`python -m chat.space --push-to-hub`: real processes and the Hub's client, against the Hub on loopback."""

import shutil

import pytest
from huggingface_hub import RepoCard

from tests.conftest import ROOT
from tests.hub_server import client_environment, hub
from tests.hub_server.store import Repositories
from tests.processes import python

pytestmark = pytest.mark.slow

TOKEN = "hf_" + "SecretOfSomeone" * 3
SPACE = ("space", "someone/chat")
MODEL = ("model", "someone/model")
CARD = "---\ndatasets:\n- someone/talks\n---\n# A model\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The Hub with a model of ours; yields its repositories and what a client needs to talk to it."""
    home = tmp_path_factory.mktemp("client")
    model = home / "model"
    shutil.copytree(ROOT / "models" / "pocket", model)
    (model / "README.md").write_text(CARD)
    repositories = Repositories(token=TOKEN)
    repositories.import_folder(MODEL, model)
    with hub(repositories) as endpoint:
        yield repositories, client_environment(endpoint, home, TOKEN)


def publish(environment: dict, *flags: str):
    done = python("-m", "chat.space", *flags, environment=environment, timeout=600)
    assert TOKEN not in done.stdout + done.stderr
    return done


def settings(repositories: Repositories) -> dict:
    return repositories.get(SPACE).settings


def test_a_space_is_created_updated_and_given_its_model(served, tmp_path):
    repositories, environment = served
    name = ["--push-to-hub", SPACE[1]]
    done = publish(environment, *name, "--output", str(tmp_path / "space"))
    assert done.returncode == 0, done.stderr
    assert f"/spaces/{SPACE[1]}" in done.stdout
    made = {
        path.relative_to(tmp_path / "space").as_posix(): path.read_bytes()
        for path in (tmp_path / "space").rglob("*")
        if path.is_file()
    }
    assert repositories.contents(SPACE) == made
    assert len(repositories.messages(SPACE)) == 1 and not repositories.get(SPACE).private
    assert settings(repositories)["variables"] == {"MODEL_ID": "models/pocket"}
    assert settings(repositories)["sdk"] == "gradio" and not settings(repositories)["secrets"]

    # Somebody adds a file in the Space; with a model of the Hub only ours go.
    repositories.import_folder(SPACE, _with_packages(tmp_path))
    repositories.faults.add(f"POST /api/spaces/{SPACE[1]}/commit", status=503, times=1)
    done = publish(environment, *name, "--model", MODEL[1], "--title", "My chat")
    assert done.returncode == 0, done.stderr
    assert "the page is not on the Hub, but whole on this machine" in done.stderr
    assert "trying again" in done.stderr and "is private" not in done.stdout
    after = repositories.contents(SPACE)
    expected = {path for path in made if not path.startswith("models/")} | {"packages.txt"}
    assert set(after) == expected
    assert settings(repositories)["variables"] == {"MODEL_ID": MODEL[1]}
    data = RepoCard(after["README.md"].decode()).data.to_dict()
    assert data["title"] == "My chat" and data["datasets"] == ["someone/talks"]
    assert data["models"] == data["preload_from_hub"] == [MODEL[1]]

    before = repositories.log(SPACE)
    done = publish(environment, *name, "--model", MODEL[1], "--title", "My chat")
    assert done.returncode == 0 and repositories.contents(SPACE) == after
    assert [each["files"] for each in repositories.log(SPACE)[-len(before) :]] == [
        each["files"] for each in before
    ]
    assert not repositories.leaks


def _with_packages(tmp_path):
    shutil.copytree(tmp_path / "space", tmp_path / "changed")
    (tmp_path / "changed" / "packages.txt").write_text("ffmpeg\n")
    return tmp_path / "changed"


def test_a_private_model_is_not_preloaded_and_its_owner_is_told_of_the_secret(served):
    repositories, environment = served
    repositories.change(MODEL, private=True)
    done = publish(environment, "--push-to-hub", "someone/own", "--model", MODEL[1], "--hub-public", "false")
    repositories.change(MODEL, private=False)
    assert done.returncode == 0, done.stderr
    assert f"{MODEL[1]} is private: give the Space a secret HF_TOKEN" in done.stdout
    assert "preload_from_hub" not in repositories.contents(("space", "someone/own"))["README.md"].decode()
    assert repositories.get(("space", "someone/own")).private


def test_anothers_space_is_left_alone(served, tmp_path):
    repositories, environment = served
    (tmp_path / "app.py").write_text("print()")
    repositories.import_folder(("space", "someone/other"), tmp_path)
    done = publish(environment, "--push-to-hub", "someone/other")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "is another Space, which this would overwrite" in done.stderr
    assert set(repositories.contents(("space", "someone/other"))) == {"app.py"}


@pytest.mark.parametrize(
    ("token", "faults", "problem"),
    [
        ("", [], "no token; set HF_TOKEN"),
        ("hf_of_nobody", [], "the Hub refuses the token (401"),
        (TOKEN, [{"pattern": "POST /api/repos/create", "status": 402, "message": "Subscribe."}], "payment"),
        (TOKEN, [{"pattern": "POST /api/repos/create", "status": 500, "times": 9}], "a failure of its own"),
    ],
    ids=["no token", "wrong token", "no plan", "server error"],
)
def test_a_refusal_is_one_clear_line_and_publishes_nothing(served, token, faults, problem):
    repositories, environment = served
    for fault in faults:
        repositories.faults.add(**fault)
    done = publish({**environment, "HF_TOKEN": token}, "--push-to-hub", "someone/never")
    repositories.faults.clear()
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1 and problem in done.stderr
    assert done.stderr.startswith("error: --push-to-hub someone/never: ")
    assert not repositories.exists(("space", "someone/never"))
