"""Publishing a model's folder: whole commits, tags, private repositories."""

import pytest

from chat.cli import UserError
from chat.hub.publishing import additions_of
from chat.hub.repositories import Destination
from chat.model_files import MODEL_FILES
from tests.chat.hub.conftest import MODEL, TOKEN
from tests.hub_server import client_environment, hub
from tests.processes import contents, mentions, python

LOAD = """
import sys
from pathlib import Path
from huggingface_hub import snapshot_download

for revision in sys.argv[1:]:
    folder = Path(snapshot_download("someone/chat", revision=revision))
    print(revision, sorted(path.name for path in folder.iterdir()), (folder / "config.json").read_text())
"""
PUBLISHED = {"config.json", "README.md", "model.safetensors"}


@pytest.mark.slow
def test_a_model_is_published_changed_and_tagged(repositories, folder, publish, tmp_path):
    with hub(repositories) as endpoint:
        first = publish(endpoint, tag="v1")
        again = publish(endpoint, tag="v1")
        (folder / "config.json").write_text('{"changed": true}')
        (folder / "tokenizer.json").write_text("{}")
        refused = publish(endpoint, tag="v1")
        second = publish(endpoint, tag="v2")
        (folder / "tokenizer.json").unlink()
        publish(endpoint)
        environment = client_environment(endpoint, tmp_path / "elsewhere", TOKEN)
        loaded = python("-c", LOAD, "v1", "v2", "main", environment=environment)
    assert [each.returncode for each in (first, again, refused, second, loaded)] == [0, 0, 2, 0, 0], refused
    assert "error: --hub-tag v1: someone/chat has this tag on another commit" in refused.stderr
    # Three commits for five calls: what is there as it is makes none.
    assert repositories.messages(MODEL) == ["Model"] * 3
    assert again.stderr.count("No files have been modified") == 1
    assert repositories.get(MODEL).private
    assert {name: contents(folder)[name] for name in PUBLISHED} == repositories.contents(MODEL)
    assert set(repositories.contents(MODEL, "v2")) == PUBLISHED | {"tokenizer.json"}
    v1, v2, main = loaded.stdout.splitlines()
    assert "tokenizer.json" not in v1 and v1.endswith(" {}")
    assert "tokenizer.json" in v2 and v2.endswith(' {"changed": true}')
    assert "tokenizer.json" not in main
    assert not repositories.leaks
    assert not mentions(TOKEN, tmp_path, first.stdout, first.stderr, refused.stderr, loaded.stderr)


def test_a_token_that_a_login_has_kept_will_do(repositories, publish, tmp_path):
    """As `hf auth login` keeps it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "token").write_text(TOKEN)
    with hub(repositories) as endpoint:
        done = publish(endpoint, token="")
    assert done.returncode == 0 and repositories.messages(MODEL) == ["Model"], done.stderr


def test_a_private_thing_is_not_pushed_to_a_public_place(repositories, publish):
    repositories.create(MODEL)
    with hub(repositories) as endpoint:
        done = publish(endpoint)
    assert done.returncode == 2 and not repositories.messages(MODEL)
    assert "error: --push-to-hub someone/chat: is public on the Hub; make it private" in done.stderr
    assert "--hub-public true" in done.stderr


def test_a_card_with_broken_metadata_is_refused_before_anything_is_there(repositories, folder, publish):
    (folder / "README.md").write_text("---\nlicense: [other\n---\n# A model\n")
    with hub(repositories) as endpoint:
        done = publish(endpoint)
    assert done.returncode == 2 and "Invalid metadata in README.md" in done.stderr, done.stderr
    assert not repositories.messages(MODEL)


def test_patterns_without_a_folder_are_of_the_root_alone(tmp_path):
    """Nothing in a folder is published as a model's, nor deleted in a repository as one of its old files."""
    for path in ("config.json", "openvino/openvino_model.xml", "runs/state.json", "model.safetensors"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    found = [each.path_in_repo for each in additions_of(tmp_path, allow=MODEL_FILES)]
    assert found == ["config.json", "model.safetensors", "openvino/openvino_model.xml"]


@pytest.mark.parametrize(
    "name", ["", "chat", "a/b/c", "some one/chat", "someone/", "/chat", "someone/ch--at"]
)
def test_what_is_no_id_is_refused_at_once(name):
    with pytest.raises(UserError, match=rf"^--push-to-hub {name}: not a model's id; give USER/NAME$"):
        Destination(name)


def test_without_a_token_nothing_is_tried(repositories, publish):
    with hub(repositories) as endpoint:
        done = publish(endpoint, token="")
    assert done.returncode == 2 and not repositories.requests
    assert (
        "error: --push-to-hub someone/chat: no token; set HF_TOKEN to a token that may do this" in done.stderr
    )
    assert "Traceback" not in done.stderr
