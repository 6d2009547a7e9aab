"""Tokenised datasets that are not whole, or none: each is told with what to do."""

from pathlib import Path

import pytest

from chat.cli import UserError
from chat.hub.data import load_tokenized


@pytest.mark.parametrize("name", ["talk", "~nobody such/talk"])
def test_a_name_without_an_owner_is_a_folder(monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"^--data {name}: no such folder; make a tokenised dataset with"):
        load_tokenized(name)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (("data/train-00000-of-00001.parquet",), "the Hub's dataset has no folder `tokenizer`; give one"),
        (("tokenizer/tokenizer.json",), "not all files data/train-\\*.parquet are there; with the Hub in"),
        (
            (
                "tokenizer/tokenizer.json",
                "data/train-00000-of-00001.parquet",
                "data/val-00000-of-00002.parquet",
            ),
            "not all files data/val-\\*.parquet are there; with the Hub in reach",
        ),
    ],
)
def test_what_came_of_the_hub_in_part_is_no_dataset(monkeypatch, tmp_path, files, told):
    """As of a download that was cut, or of somebody's dataset of another kind."""
    for path in map(Path, files):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    monkeypatch.setattr("chat.hub.path_or_id._state_on_hub", lambda *_: (None, False))
    with pytest.raises(UserError, match=f"^--data someone/talk: {told}"):
        load_tokenized("someone/talk")
