"""A digest of what a run learns from, by which a resumed one finds out that it is given something else."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from chat.cli import UserError
from chat.dialogue import SPLITS

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)
# In a checkpoint: the digest of each flag that gives data.
DIGESTS_FILE = "data.json"
READ_ROWS = 500


def of_dataset(dataset: dict[str, Dataset]) -> str:
    """SHA-256 of a tokenised dataset, wherever it lies: of the lengths of all rows, and of the ids of rows
    evenly spread over each split, since it may be larger than memory.
    """
    digest = hashlib.sha256()
    for split in SPLITS:
        rows = dataset[split]
        lengths = np.asarray(rows.with_format("numpy")["length"][:], dtype=np.int64)
        digest.update(lengths.tobytes())
        read = np.unique(np.linspace(0, len(rows) - 1, READ_ROWS, dtype=np.int64))
        columns = rows.select_columns(["input_ids", "labels"])[read.tolist()]
        digest.update(json.dumps(columns, sort_keys=True).encode())
    return digest.hexdigest()


def write(digests: dict[str, str], checkpoint: Path) -> None:
    (checkpoint / DIGESTS_FILE).write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")


def check_same_data(checkpoint: Path, digests: dict[str, str]) -> None:
    """Raises UserError where a flag gives other data than those on which the checkpoint was trained."""
    if not (checkpoint / DIGESTS_FILE).is_file():
        logger.warning(
            "--resume: %s is of an older version, which did not note its data; %s must be what it was",
            checkpoint,
            " and ".join(digests),
        )
        return
    before = json.loads((checkpoint / DIGESTS_FILE).read_text(encoding="utf-8"))
    for flag, digest in digests.items():
        if before.get(flag, digest) != digest:
            raise UserError(
                f"--resume: {flag} holds other data than {checkpoint} was trained on; give the same, or "
                f"begin anew with --base {checkpoint} in another --output-dir"
            )
