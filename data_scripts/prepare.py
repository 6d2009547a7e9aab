"""From raw corpora to a tokenised dataset.

    python -m data_scripts.prepare                              # Cornell and PersonaChat, downloaded
    python -m data_scripts.prepare --corpora cornell=movie-corpus.zip personachat=persona-chat

The output folder is a `DatasetDict` with `train` and `val` (`input_ids`, `labels`, `length`, `source`), the
tokenizer beside it, the cleaned text as `dialogues/{train,val}.jsonl`, and `stats.json`. It appears whole or
never.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from chat.cli import UserError, parse_arguments, run
from chat.folders import check_replaceable, whole_folder

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from data_scripts.corpora import Corpus

logger = logging.getLogger(__name__)
SPLITS = ("train", "val")
MARKER = "stats.json"
COUNTS = ["replies", "replies_cut"]
STATS_FORMAT_VERSION = 1


@dataclass(frozen=True)
class PrepareArguments:
    corpora: list[str] = field(
        default_factory=lambda: ["cornell", "personachat"],
        metadata={
            "help": "Corpora as NAME (downloaded) or NAME=PATH: cornell, personachat, daily_dialog, "
            "multi_session_chat, jsonl."
        },
    )
    output: str = field(
        default="tokenized_combined_dialog_data",
        metadata={"help": "Folder for the tokenised dataset; an earlier dataset there is replaced."},
    )
    tokenizer: str = field(
        default="openai-community/gpt2", metadata={"help": "Hub id or path of the base model's tokenizer."}
    )
    train_tokenizer_vocab_size: int = field(
        default=0,
        metadata={
            "help": "Instead of --tokenizer, learn one of this many tokens from the training text (0: off)."
        },
    )
    max_length: int = field(default=256, metadata={"help": "Longest training sequence, in tokens."})
    history_turns: int | None = field(
        default=None,
        metadata={
            "help": "One sequence per reply with this many turns before it, instead of one per dialogue."
        },
    )
    keep_raw_text: bool = field(
        default=False, metadata={"help": "Keep the published text, to reproduce published figures."}
    )
    val_fraction: float = field(
        default=0.05,
        metadata={
            "help": "Share of the films (Cornell) or dialogues held out, where a corpus has no own split."
        },
    )
    seed: int = field(default=0, metadata={"help": "Seed of the choice of what is held out."})
    num_proc: int = field(default=1, metadata={"help": "Processes that tokenise."})

    def __post_init__(self):
        for flag, value, low in (
            ("--max-length", self.max_length, 16),
            ("--num-proc", self.num_proc, 1),
            ("--history-turns", 1 if self.history_turns is None else self.history_turns, 1),
        ):
            if value < low:
                raise UserError(f"{flag} {value}: too small; give at least {low}")
        if not 0 <= self.val_fraction < 1:
            raise UserError(
                f"--val-fraction {self.val_fraction}: give a share from 0 up to, but not including, 1"
            )
        if self.train_tokenizer_vocab_size and self.train_tokenizer_vocab_size < 300:
            raise UserError(
                f"--train-tokenizer-vocab-size {self.train_tokenizer_vocab_size}: give at least 300, or 0"
            )


def prepare(arguments: PrepareArguments) -> dict:
    """Writes the tokenised dataset to `arguments.output` and returns its statistics."""
    from datasets import DatasetDict, concatenate_datasets

    from chat.template import add_chat_format
    from data_scripts import jsonl
    from data_scripts.corpora import load_corpora

    check_replaceable(arguments.output, MARKER, "--output")
    tokenizer = None if arguments.train_tokenizer_vocab_size else _load_tokenizer(arguments.tokenizer)
    corpora = load_corpora(arguments.corpora, arguments.keep_raw_text, arguments.val_fraction, arguments.seed)
    if tokenizer is None:
        tokenizer = _train_tokenizer(corpora, arguments.train_tokenizer_vocab_size)
    add_chat_format(tokenizer)
    with whole_folder(arguments.output, MARKER, "--output") as folder:
        encoded = {
            split: [
                _encode(getattr(corpus, split), f"{corpus.name} {split}", tokenizer, arguments)
                for corpus in corpora
            ]
            for split in SPLITS
        }
        stats = _statistics(corpora, encoded, tokenizer, arguments)
        dataset = {
            split: concatenate_datasets(parts).remove_columns(COUNTS) for split, parts in encoded.items()
        }
        DatasetDict(dataset).save_to_disk(str(folder))
        tokenizer.save_pretrained(folder / "tokenizer")
        for split in SPLITS:
            dialogues = (dialogue for corpus in corpora for dialogue in getattr(corpus, split))
            jsonl.write(dialogues, folder / "dialogues" / f"{split}.jsonl")
        (folder / MARKER).write_text(json.dumps(stats, indent=2) + "\n", encoding="utf-8")
    return stats


def _load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    from chat.hub import load_tokenizer

    tokenizer = load_tokenizer(name, "--tokenizer")
    if tokenizer.eos_token is None:
        raise UserError(
            f"--tokenizer {name}: has no end-of-text token (eos_token) to end a turn with; give another"
        )
    return tokenizer


def _train_tokenizer(corpora: list[Corpus], vocab_size: int) -> PreTrainedTokenizerBase:
    from data_scripts.train_tokenizer import train_tokenizer

    logger.info("learning a tokenizer of %d tokens from the training text", vocab_size)
    dialogues = (dialogue for corpus in corpora for dialogue in corpus.train)
    texts = (text for each in dialogues for text in (*each.persona, *(turn.text for turn in each.turns)))
    return train_tokenizer(texts, vocab_size)


def _encode(
    dialogues: list, description: str, tokenizer: PreTrainedTokenizerBase, arguments: PrepareArguments
) -> Dataset:
    """Training sequences of the dialogues, from every side that is learnt."""
    from datasets import Dataset, Features, List, Value

    features = Features(
        {
            "input_ids": List(Value("int32")),
            "labels": List(Value("int32")),
            "length": Value("int32"),
            "source": Value("string"),
            "replies": Value("int32"),
            "replies_cut": Value("int32"),
        }
    )
    if not dialogues:
        return Dataset.from_dict({column: [] for column in features}, features=features)
    return Dataset.from_list([dialogue.to_json() for dialogue in dialogues]).map(
        _encode_batch,
        batched=True,
        features=features,
        remove_columns=["source", "group", "persona", "turns"],
        num_proc=arguments.num_proc if arguments.num_proc > 1 and len(dialogues) > 10_000 else None,
        fn_kwargs={
            "tokenizer": tokenizer,
            "max_length": arguments.max_length,
            "history_turns": arguments.history_turns,
        },
        desc=f"tokenising {description}",
    )


def _encode_batch(batch: dict, tokenizer, max_length: int, history_turns: int | None) -> dict[str, list]:
    from chat.dialogue import Dialogue, Turn
    from chat.template import encode_dialogues

    rows = zip(batch["source"], batch["persona"], batch["turns"], strict=True)
    views = [
        view
        for source, persona, turns in rows
        for view in Dialogue(source, tuple(Turn(**turn) for turn in turns), tuple(persona)).views()
    ]
    encoded = encode_dialogues(tokenizer, views, max_length, history_turns)
    sequences = [
        (view.source, sequence) for view, each in zip(views, encoded, strict=True) for sequence in each
    ]
    return {
        "input_ids": [sequence.input_ids for _, sequence in sequences],
        "labels": [sequence.labels for _, sequence in sequences],
        "length": [len(sequence.input_ids) for _, sequence in sequences],
        "source": [source for source, _ in sequences],
        "replies": [sequence.replies for _, sequence in sequences],
        "replies_cut": [sequence.replies_cut for _, sequence in sequences],
    }


def _statistics(corpora: list[Corpus], encoded: dict, tokenizer, arguments: PrepareArguments) -> dict:
    """What went in and what came out, per corpus and split."""
    corpora_stats = {}
    for index, corpus in enumerate(corpora):
        of_splits = {
            split: _split_statistics(getattr(corpus, split), encoded[split][index]) for split in SPLITS
        }
        name = corpus.name if corpus.name not in corpora_stats else f"{corpus.name}_{index}"
        corpora_stats[name] = {**of_splits, "dropped": dict(corpus.dropped)}
    total = {
        split: {
            figure: sum(stats[split][figure] for stats in corpora_stats.values())
            for figure in ("dialogues", "turns", "sequences", "replies", "tokens", "reply_tokens")
        }
        for split in SPLITS
    }
    return {
        "format_version": STATS_FORMAT_VERSION,
        "options": asdict(arguments),
        "vocab_size": len(tokenizer),
        "total": total,
        "corpora": corpora_stats,
    }


def _split_statistics(dialogues: list, sequences: Dataset) -> dict:
    import numpy as np

    from chat.template import IGNORED_LABEL

    columns = sequences.with_format("numpy")
    lengths = np.asarray(columns["length"][:]) if len(sequences) else np.zeros(1, dtype=int)
    reply_tokens = 0
    for batch in columns.select_columns(["labels"]).iter(batch_size=1000):
        reply_tokens += int(sum((labels != IGNORED_LABEL).sum() for labels in batch["labels"]))
    return {
        "dialogues": len(dialogues),
        "turns": sum(len(dialogue.turns) for dialogue in dialogues),
        "sequences": len(sequences),
        "replies": int(sum(columns["replies"][:])),
        "replies_cut": int(sum(columns["replies_cut"][:])),
        "tokens": int(lengths.sum()),
        "reply_tokens": reply_tokens,
        "length_percentiles": {str(p): int(np.percentile(lengths, p)) for p in (5, 25, 50, 75, 95, 100)},
    }


def report(stats: dict, output: str) -> str:
    """The statistics as a table of lines."""
    lines = []
    for name, corpus in stats["corpora"].items():
        for split in SPLITS:
            figures = corpus[split]
            counts = (
                f"{figures[unit]:>11,} {unit}" for unit in ("dialogues", "sequences", "replies", "tokens")
            )
            lines.append(f"{name:<20}{split:<5}{''.join(counts)} ({figures['reply_tokens']:,} of replies)")
        lines += [f"{name:<20}dropped {count:,} {reason}" for reason, count in corpus["dropped"].items()]
    return "\n".join([*lines, f"saved to {output}"])


def main() -> None:
    arguments = parse_arguments(PrepareArguments, description=__doc__.splitlines()[0])
    print(report(prepare(arguments), arguments.output))


if __name__ == "__main__":
    run(main)
