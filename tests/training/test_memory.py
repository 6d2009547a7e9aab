"""A tokenised dataset is read from its memory map, never loaded whole."""

import json
import sys

import pytest

from tests.processes import python

SEQUENCES = 60_000
LENGTH = 256
STREAM = """
import json, resource, sys
import numpy as np
from chat.hub.data import load_tokenized
from training.collator import PackedCollator
from training.packing import PackedRows
from training.sampler import EpochSampler

def data_bytes():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmData")).split()[1]) * 1024

dataset, tokenizer = load_tokenized(sys.argv[1])
train = dataset["train"]
warm = train.with_format("numpy")[:10], PackedCollator(0, 512)([[train[0]]])
resource.setrlimit(resource.RLIMIT_DATA, (data_bytes() + int(sys.argv[2]), resource.RLIM_INFINITY))
if sys.argv[3] == "whole":
    tokens = int(np.asarray(train.data.column("input_ids").combine_chunks().values).copy().sum() > 0)
lengths = np.asarray(train.with_format("numpy")["length"][:])
rows = PackedRows(train, lengths, 512)
order = list(EpochSampler(len(rows), 0))
collate = PackedCollator(0, 512)
tokens = 0
for start in range(0, len(order), 64):
    tokens += collate(rows.__getitems__(order[start:start + 64]))["input_ids"].numel()
print(json.dumps({"tokens": tokens}))
"""


@pytest.fixture(scope="module")
def large_dataset(tmp_path_factory, tokenizer):
    """120 MB of token ids and labels."""
    import numpy as np
    import pyarrow as pa
    from datasets import Dataset, DatasetDict

    ids = pa.array(np.arange(SEQUENCES * LENGTH, dtype=np.int32) % len(tokenizer))
    offsets = pa.array(np.arange(0, SEQUENCES * LENGTH + 1, LENGTH, dtype=np.int32))
    columns = {
        "input_ids": pa.ListArray.from_arrays(offsets, ids),
        "labels": pa.ListArray.from_arrays(offsets, ids),
        "length": pa.array(np.full(SEQUENCES, LENGTH, dtype=np.int32)),
    }
    train = Dataset(pa.table(columns))
    folder = tmp_path_factory.mktemp("large") / "data"
    DatasetDict({"train": train, "val": train.select(range(10))}).save_to_disk(str(folder))
    tokenizer.save_pretrained(folder / "tokenizer")
    (folder / "stats.json").write_text("{}")
    assert sum(file.stat().st_size for file in folder.rglob("*.arrow")) > 120e6
    return folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds anonymous memory on Linux only")
def test_an_epoch_streams_in_a_third_of_the_datasets_size(large_dataset):
    done, whole = (
        python("-c", STREAM, large_dataset, 40 * 2**20, how, timeout=240) for how in ("stream", "whole")
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tokens"] == SEQUENCES * LENGTH
    assert "MemoryError" in whole.stderr
