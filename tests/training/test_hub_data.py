"""A tokenised dataset by its Hub id, over real HTTP on loopback."""

import shutil
import subprocess
from pathlib import Path

import pytest
from datasets import load_from_disk

from chat.cli import UserError
from chat.hub import data, loading
from tests.hub_server import client_environment, hub
from tests.processes import python
from tests.training.conftest import flags_of
from training.arguments import TrainArguments


@pytest.fixture(scope="module")
def published(prepared, tmp_path_factory):
    """The dataset as `push_to_hub` lays it out, with its tokenizer; and one without."""
    folder = tmp_path_factory.mktemp("hub")
    for split, rows in load_from_disk(str(prepared)).items():
        for name in ("whole", "bare"):
            (folder / name / "data").mkdir(parents=True, exist_ok=True)
            rows.to_parquet(folder / name / "data" / f"{split}-00000-of-00001.parquet")
    shutil.copytree(prepared / "tokenizer", folder / "whole" / "tokenizer")
    for name in ("whole", "bare"):
        files = "".join(f"  - split: {split}\n    path: data/{split}-*\n" for split in ("train", "val"))
        (folder / name / "README.md").write_text(
            f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n"
        )
    return {("dataset", "someone/whole"): folder / "whole", ("dataset", "someone/bare"): folder / "bare"}


def launch(endpoint: str, arguments: TrainArguments, home: Path) -> subprocess.CompletedProcess:
    return python(*flags_of(arguments), environment=client_environment(endpoint, home))


@pytest.mark.slow
def test_training_on_a_dataset_of_the_hub(published, short_run, tmp_path):
    with hub(published) as endpoint:
        done = launch(endpoint, short_run(data="someone/whole"), tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "final" / "model.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("someone/bare", "the Hub's dataset has no folder `tokenizer`"),
        ("someone/nothing", "neither a local folder nor a dataset on the Hub"),
    ],
)
def test_what_the_hub_has_not_is_named(published, short_run, tmp_path, data, problem):
    with hub(published) as endpoint:
        done = launch(endpoint, short_run(data=data), tmp_path / "home")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert f"error: --data {data}: " in done.stderr and problem in done.stderr


@pytest.fixture
def snapshot(published, tmp_path, monkeypatch) -> Path:
    """What the cache holds of a commit of the dataset."""
    shutil.copytree(published["dataset", "someone/whole"], tmp_path / "c0ffee")
    monkeypatch.setattr("chat.hub.path_or_id._state_on_hub", lambda *_: (None, False))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path / "c0ffee"))
    return tmp_path / "c0ffee"


def test_dataset_and_tokenizer_are_of_one_commit_whatever_is_pushed_in_between(snapshot, prepared):
    dataset, tokenizer = data.load_tokenized("someone/talk")
    assert {split: rows.to_list() for split, rows in dataset.items()} == {
        split: rows.to_list() for split, rows in load_from_disk(str(prepared)).items()
    }
    assert len(tokenizer) == len(loading.load_tokenizer(str(prepared / "tokenizer")))
    [part] = snapshot.glob("data/train-*")
    part.rename(part.with_name("train-00000-of-00002.parquet"))
    with pytest.raises(UserError, match=r"^--data someone/talk: not all files data/train-.* are there"):
        data.load_tokenized("someone/talk")
