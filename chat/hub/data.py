"""Tokenised datasets with their tokenizer, by path or Hub id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError
from chat.dialogue import SPLITS
from chat.hub.loading import load_tokenizer
from chat.hub.path_or_id import explained, is_local, looks_like_path
from chat.model_files import STATISTICS_FILE

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

REMEDY = "make a tokenised dataset with `python -m data_scripts.prepare`"


def load_tokenized(name: str) -> tuple[dict[str, Dataset], PreTrainedTokenizerBase]:
    """A tokenised dataset of `data_scripts.prepare`, memory-mapped, and its tokenizer: a folder or a Hub id.

    Raises:
        UserError: there is none, it is not whole, or it is no tokenised dataset.
    """
    if is_local(name) or looks_like_path(name) or "/" not in name:
        dataset, tokenizer = _tokenized_folder(name)
    else:
        dataset, tokenizer = _tokenized_repository(name)
    for split in SPLITS:
        columns = dataset[split].column_names if split in dataset else []
        missing = sorted({"input_ids", "labels", "length"} - set(columns))
        if missing or not len(dataset[split]):
            problem = f"has no column `{missing[0]}`" if missing else "is empty"
            raise UserError(f"--data {name}: split `{split}` {problem}; {REMEDY}")
    return dataset, tokenizer


def _tokenized_folder(path: str) -> tuple[dict[str, Dataset], PreTrainedTokenizerBase]:
    from datasets import load_from_disk

    if not is_local(path):
        raise UserError(f"--data {path}: no such folder; {REMEDY}")
    folder = Path(path)
    with explained("--data", path, "tokenised dataset"):
        for part in ("dataset_dict.json", "tokenizer", STATISTICS_FILE):
            if not (folder / part).exists():
                raise UserError(f"--data {path}: it has no `{part}`; {REMEDY}")
        return load_from_disk(str(folder)), load_tokenizer(str(folder / "tokenizer"), "--data")


def _tokenized_repository(name: str) -> tuple[dict[str, Dataset], PreTrainedTokenizerBase]:
    from datasets import load_dataset
    from huggingface_hub import snapshot_download

    # Rows and tokenizer of one commit, whatever is pushed in between: without a network `datasets` would give
    # the rows that it has read last.
    parts = ["tokenizer/*", "data/*.parquet"]
    with explained("--data", name, "tokenised dataset", repo_type="dataset"):
        folder = Path(snapshot_download(name, repo_type="dataset", allow_patterns=parts))
        tokenizer = folder / "tokenizer"
        if not tokenizer.is_dir():
            raise UserError(
                f"--data {name}: the Hub's dataset has no folder `tokenizer`; give one that `python -m "
                "data_scripts.prepare` made"
            )
        files = {split: sorted(map(str, folder.glob(f"data/{split}-*.parquet"))) for split in SPLITS}
        for split, there in files.items():
            # Of a download that was cut, the cache has some.
            if not there or not there[0].endswith(f"-of-{len(there):05d}.parquet"):
                raise UserError(
                    f"--data {name}: not all files data/{split}-*.parquet are there; with the Hub in reach, "
                    "give a dataset that `python -m data_scripts.prepare` made"
                )
        return load_dataset("parquet", data_files=files), load_tokenizer(str(tokenizer), "--data")
