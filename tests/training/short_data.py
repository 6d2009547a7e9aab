"""Less of the data that tests train on."""

import shutil
from pathlib import Path


def of_rows(prepared: Path, folder: Path, number: int | None = None) -> str:
    """A copy of the data with so many training rows, or all; its path."""
    from datasets import DatasetDict, load_from_disk

    given = load_from_disk(str(prepared))
    shutil.copytree(prepared, folder, ignore=shutil.ignore_patterns("train", "val"))
    rows = given["train"].select(range(number or len(given["train"])))
    DatasetDict(train=rows, val=given["val"]).save_to_disk(folder)
    return str(folder)
