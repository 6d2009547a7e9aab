"""Of a path on this machine the last part alone is published, and of a folder what lies in it."""

from dataclasses import dataclass

import pytest

from chat.published_paths import files_to_publish, published, with_last_parts, without_folders
from tests.conftest import refused


@dataclass(frozen=True)
class Arguments:
    data: str
    base: str
    output_dir: str


def test_of_paths_on_this_machine_alone_the_last_part_is_published(tmp_path):
    given = Arguments(data=str(tmp_path / "talk"), base="models/pocket", output_dir="runs/one")
    told = with_last_parts(given, ("data", "base", "output_dir"))
    assert (told.data, told.base, told.output_dir) == ("./talk", "models/pocket", "runs/one")


def test_a_path_is_published_as_its_last_part_whatever_is_in_it(tmp_path, monkeypatch):
    odd = tmp_path / "date=2024.jsonl"
    odd.touch()
    assert without_folders(f"jsonl={odd}") == "jsonl=date=2024.jsonl"
    assert without_folders(str(odd)) == "date=2024.jsonl"
    monkeypatch.chdir(tmp_path)
    assert without_folders(".") == published(".") == tmp_path.name
    assert without_folders("cornell=.") == f"cornell={tmp_path.name}"
    assert without_folders("user/model") == "user/model"
    for path in ("/home/me/words", "~/words", "./words", "../words", "./words/"):
        assert published(path) == "words"
    assert published("user/model") == "user/model"


@pytest.fixture
def cached(tmp_path):
    """A model in the cache of the Hub's client: one file of the repository, one of those that all share."""
    repository = tmp_path / "hub" / "models--user--model"
    snapshot = repository / "snapshots" / "c0ffee"
    for folder in (snapshot, repository / "blobs", tmp_path / "hub" / "blobs" / "ab"):
        folder.mkdir(parents=True)
    (repository / "blobs" / "one").write_text("{}")
    (tmp_path / "hub" / "blobs" / "ab" / "abcd").write_text("weights")
    (repository / "blobs" / "other").symlink_to("../../blobs/ab/abcd")
    (snapshot / "config.json").symlink_to("../../blobs/one")
    (snapshot / "model.safetensors").symlink_to("../../blobs/other")
    return snapshot


def test_the_links_of_the_hubs_own_cache_are_followed(cached, tmp_path):
    (tmp_path / "final_model").symlink_to(cached)
    for folder in (cached, tmp_path / "final_model"):
        found = files_to_publish(folder, ["*.json", "*.safetensors", "*"], "--model")
        assert [path.name for path in found] == ["config.json", "model.safetensors"]


def test_no_other_link_out_of_a_folder_is(cached, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "mine").write_text("mine")
    plain = tmp_path / "models" / "mine"
    plain.mkdir(parents=True)
    for folder, target in ((cached, secret), (plain, secret), (plain, tmp_path / "blobs" / "mine")):
        (folder / "extra.json").symlink_to(target)
        with refused(f"extra.json is a link to {target}, which would be", begins=f"--model {folder}: "):
            files_to_publish(folder, ["*.json"], "--model")
        (folder / "extra.json").unlink()
