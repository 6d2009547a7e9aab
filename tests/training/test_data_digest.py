"""The digest by which a resumed run finds out that it is given other data."""

import pytest
from datasets import Dataset

from training.data_digest import READ_ROWS, check_same_data, of_dataset, write

SPLITS, COLUMNS = ("train", "val"), ("input_ids", "labels")


def made() -> dict:
    def rows() -> list[list[int]]:
        return [[number, number + 1, number + 2] for number in range(5)]

    return {split: {"length": [3] * 5, **{column: rows() for column in COLUMNS}} for split in SPLITS}


def digest(data: dict) -> str:
    return of_dataset({split: Dataset.from_dict(columns) for split, columns in data.items()})


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("row", [0, 2, 4])
def test_one_other_token_is_other_data(split, column, row):
    changed = made()
    changed[split][column][row][1] += 1
    assert digest(changed) != digest(made()) == digest(made())


def test_of_more_rows_than_are_read_each_length_counts():
    count = 3 * READ_ROWS
    data = {split: {"input_ids": [[1]] * count, "labels": [[1]] * count} for split in SPLITS}
    lengths = [1] * count
    digests = set()
    for row in (None, 1, 2, count - 2):
        changed = [2 if place == row else length for place, length in enumerate(lengths)]
        digests.add(digest({split: columns | {"length": changed} for split, columns in data.items()}))
    assert len(digests) == 4


def test_data_of_which_a_checkpoint_has_no_digest_is_no_other_data(tmp_path):
    write({"--marks": "ours"}, tmp_path)
    check_same_data(tmp_path, {"--marks": "ours", "--data": "given now"})
