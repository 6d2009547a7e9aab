"""Dialogues to training sequences, and the counts of both: all corpora and splits in one pass."""

from __future__ import annotations

import pickle
from functools import lru_cache
from typing import TYPE_CHECKING

from chat.dialogue import SPLITS, Dialogue, Turn

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from data_scripts.arguments import PrepareArguments
    from data_scripts.corpora import Corpus

COUNTS = ["part", "replies", "replies_cut"]
# A process takes a second or two to start and to get the tokenizer, which has to be made up for.
# One alone, which `datasets` starts for `num_proc=1`, could not.
DIALOGUES_PER_PROCESS = 5_000


def encode_corpora(
    corpora: list[Corpus], tokenizer: PreTrainedTokenizerBase, arguments: PrepareArguments
) -> dict[str, list[Dataset]]:
    """Training sequences from every side that is learnt, per split one dataset a corpus, with `COUNTS`; of
    plain text each dialogue once.
    """
    from datasets import Dataset, Features, List, Value

    parts = [getattr(corpus, split) for split in SPLITS for corpus in corpora]
    records = [
        {
            "part": number,
            "source": dialogue.source,
            "persona": list(dialogue.persona),
            "turns": [{"role": turn.role, "text": turn.text} for turn in dialogue.turns],
        }
        for number, part in enumerate(parts)
        for dialogue in part
    ]
    processes = min(arguments.num_proc, len(records) // DIALOGUES_PER_PROCESS)
    integer = Value("int32")
    features = {"input_ids": List(integer), "labels": List(integer), "length": integer}
    encoded = Dataset.from_list(records).map(
        _encode_batch,
        batched=True,
        features=Features({**features, "source": Value("string"), **dict.fromkeys(COUNTS, integer)}),
        remove_columns=["persona", "turns"],
        num_proc=processes if processes > 1 else None,
        # Pickled once here: `datasets` would do it for its cache and for every process, at a second a time.
        fn_kwargs={
            "pickled_tokenizer": pickle.dumps(tokenizer),
            "max_length": arguments.max_length,
            "history_turns": arguments.history_turns,
            "plain_text": arguments.plain_text,
            "from_both_sides": [
                part for part, corpus in enumerate(corpora) if corpus.name in arguments.both_sides
            ],
        },
        desc="tokenising",
    )
    of_parts = iter(_divide(encoded, len(parts)))
    return {split: [next(of_parts) for _ in corpora] for split in SPLITS}


def _divide(encoded: Dataset, parts: int) -> list[Dataset]:
    """The runs of rows of each part; the rows lie in the order of the parts."""
    import numpy as np

    bounds = np.searchsorted(encoded.with_format("numpy")["part"][:], range(parts + 1))
    # `select` refuses an empty range that begins behind the last row.
    return [encoded.select(range(*bounds[part : part + 2]) or []) for part in range(parts)]


@lru_cache(maxsize=1)
def _unpickled(tokenizer: bytes) -> PreTrainedTokenizerBase:
    return pickle.loads(tokenizer)


def _encode_batch(
    batch: dict,
    pickled_tokenizer: bytes,
    max_length: int,
    history_turns: int | None,
    plain_text: bool,
    from_both_sides: list[int],
) -> dict[str, list]:
    """Of the parts `from_both_sides`, dialogues with a persona are learnt from the user's side, too."""
    from chat.sequences import encode_dialogues
    from data_scripts.plain_text import encode_plain_texts

    tokenizer = _unpickled(pickled_tokenizer)
    rows = zip(batch["part"], batch["source"], batch["persona"], batch["turns"], strict=True)
    dialogues = [
        (part, Dialogue(source, tuple(Turn(**turn) for turn in turns), tuple(persona)))
        for part, source, persona, turns in rows
    ]
    if plain_text:
        views = dialogues
        encoded = encode_plain_texts(tokenizer, [view for _, view in views], max_length)
    else:
        views = [
            (part, view) for part, dialogue in dialogues for view in dialogue.views(part in from_both_sides)
        ]
        encoded = encode_dialogues(tokenizer, [view for _, view in views], max_length, history_turns)
    sequences = [
        (part, view.source, sequence)
        for (part, view), each in zip(views, encoded, strict=True)
        for sequence in each
    ]
    return {
        "input_ids": [sequence.input_ids for *_, sequence in sequences],
        "labels": [sequence.labels for *_, sequence in sequences],
        "length": [len(sequence.input_ids) for *_, sequence in sequences],
        "source": [source for _, source, _ in sequences],
        "part": [part for part, *_ in sequences],
        "replies": [sequence.replies for *_, sequence in sequences],
        "replies_cut": [sequence.replies_cut for *_, sequence in sequences],
    }


def statistics(corpora: list[Corpus], encoded: dict[str, list[Dataset]]) -> dict[str, dict]:
    """What went in and what came out: `corpora` by name and split, and their `total`."""
    of_corpora = {}
    for index, corpus in enumerate(corpora):
        of_splits = {
            split: _split_statistics(getattr(corpus, split), encoded[split][index]) for split in SPLITS
        }
        name = corpus.name if corpus.name not in of_corpora else f"{corpus.name}_{index}"
        of_corpora[name] = {
            **of_splits,
            "swapped_copies": corpus.swapped_copies,
            "dropped": dict(corpus.dropped),
        }
    total = {
        split: {
            figure: sum(stats[split][figure] for stats in of_corpora.values())
            for figure in ("dialogues", "turns", "sequences", "replies", "tokens", "reply_tokens")
        }
        for split in SPLITS
    }
    return {"total": total, "corpora": of_corpora}


def _split_statistics(dialogues: list[Dialogue], sequences: Dataset) -> dict:
    import numpy as np
    import pyarrow.compute as pc

    from chat.sequences import IGNORED_LABEL

    columns = sequences.with_format("numpy")
    lengths = np.asarray(columns["length"][:]) if len(sequences) else np.zeros(1, dtype=int)
    # In Arrow, because a Python list a sequence would take longer than all else here.
    learnt = pc.not_equal(pc.list_flatten(sequences.data.column("labels")), IGNORED_LABEL)
    return {
        "dialogues": len(dialogues),
        "turns": sum(len(dialogue.turns) for dialogue in dialogues),
        "sequences": len(sequences),
        "replies": int(sum(columns["replies"][:])),
        "replies_cut": int(sum(columns["replies_cut"][:])),
        "tokens": int(lengths.sum()),
        "reply_tokens": pc.sum(learnt).as_py() or 0,
        "length_percentiles": {str(p): int(np.percentile(lengths, p)) for p in (5, 25, 50, 75, 95, 100)},
    }
