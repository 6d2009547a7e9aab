"""From raw corpora to a tokenised dataset.

    python -m data_scripts.prepare                              # Cornell and PersonaChat, downloaded
    python -m data_scripts.prepare --corpora cornell=movie-corpus.zip personachat=persona-chat
    python -m data_scripts.prepare --push-to-hub user/dialogues # and to the Hub, private

The output folder is a `DatasetDict` with `train` and `val` (`input_ids`, `labels`, `length`, `source`), the
tokenizer beside it, the cleaned text as `dialogues/{train,val}.jsonl`, and `stats.json`. It appears whole or
never. Where it was made from the same inputs and options already, nothing is done.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError, numbers_by_name, parse_arguments, run
from chat.folders import check_replaceable, whole_folder
from chat.hub.loading import STATISTICS_FILE
from data_scripts import fingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from chat.hub.repositories import Destination
    from data_scripts.corpora import Corpus

logger = logging.getLogger(__name__)
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
    plain_text: bool = field(
        default=False,
        metadata={"help": "Plain text without roles and personas, to pre-train a base model on."},
    )
    both_sides: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Corpora of whose training dialogues with a persona the user's side is learnt, too, as "
            "of somebody without one."
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
    times: list[str] = field(
        default_factory=list,
        metadata={"help": "How often a corpus's training sequences come in an epoch: cornell=0.5."},
    )
    seed: int = field(
        default=0, metadata={"help": "Seed of the choice of what is held out and of the shares of --times."}
    )
    num_proc: int = field(
        default=2,
        metadata={"help": "Processes that read corpora and tokenise, where it makes either faster."},
    )
    refresh: bool = field(
        default=False,
        metadata={
            "help": "Prepare even where nothing has changed; what is downloaded is known by its name alone."
        },
    )
    push_to_hub: str | None = field(
        default=None,
        metadata={"help": "Dataset on the Hub, USER/NAME, to push it to; made if it is not there."},
    )
    hub_public: bool = field(
        default=False,
        metadata={
            "help": "Let all see it there; private otherwise, since film dialogue has no clear licence."
        },
    )

    def __post_init__(self):
        for flag, value, low in (
            ("--max-length", self.max_length, 16),
            ("--num-proc", self.num_proc, 1),
            ("--history-turns", 1 if self.history_turns is None else self.history_turns, 1),
        ):
            if value < low:
                raise UserError(f"{flag} {value}: too small; give at least {low}")
        if self.plain_text and self.history_turns is not None:
            raise UserError("--history-turns: plain text has no replies; leave it or --plain-text out")
        if self.plain_text and self.both_sides:
            raise UserError("--both-sides: plain text has no sides; leave it or --plain-text out")
        named = [specification.partition("=")[0] for specification in self.corpora]
        for name in (name for name in self.both_sides if name not in named):
            raise UserError(f"--both-sides {name}: no such corpus in --corpora; they are {', '.join(named)}")
        numbers_by_name(self.times, "--times", "cornell=0.5")
        if not 0 <= self.val_fraction < 1:
            raise UserError(
                f"--val-fraction {self.val_fraction}: give a share from 0 up to, but not including, 1"
            )
        if self.train_tokenizer_vocab_size and self.train_tokenizer_vocab_size < 300:
            raise UserError(
                f"--train-tokenizer-vocab-size {self.train_tokenizer_vocab_size}: give at least 300, or 0"
            )
        if self.hub_public and not self.push_to_hub:
            raise UserError("--hub-public: says who sees what is pushed; give --push-to-hub USER/NAME, too")

    def deciding(self) -> dict:
        """The options that decide what is in the dataset, or how it is made."""
        elsewhere = ("output", "refresh", "push_to_hub", "hub_public")
        return {name: value for name, value in asdict(self).items() if name not in elsewhere}


def prepare(arguments: PrepareArguments) -> dict:
    """Sees to it that the tokenised dataset is in `arguments.output`; returns its statistics."""
    check_replaceable(arguments.output, STATISTICS_FILE, "--output")
    # Before anything is read: what is changed while it is being read must count as changed the next time.
    inputs = _inputs(arguments)
    return _stats_if_unchanged(arguments, inputs) or _write(arguments, inputs)


def _inputs(arguments: PrepareArguments) -> dict[str, str]:
    learnt = arguments.train_tokenizer_vocab_size
    return fingerprint.of_inputs(
        arguments.deciding(), arguments.corpora, None if learnt else arguments.tokenizer
    )


def _published_options(arguments: PrepareArguments) -> dict:
    return arguments.deciding() | {
        "corpora": [fingerprint.without_folders(specification) for specification in arguments.corpora],
        "tokenizer": fingerprint.without_folders(arguments.tokenizer),
    }


def _stats_if_unchanged(arguments: PrepareArguments, inputs: dict[str, str]) -> dict | None:
    """The statistics of the dataset that is there, where it is whole and made from the same inputs."""
    path = Path(arguments.output) / STATISTICS_FILE
    if arguments.refresh or not path.is_file():
        return None
    try:
        stats = json.loads(path.read_text(encoding="utf-8"))
        changes = fingerprint.changes(inputs, stats["inputs"])
        if not fingerprint.is_whole(path.parent, stats["files"]):
            changes.append("files of the dataset itself")
    except (ValueError, KeyError):
        changes = [f"the format of {STATISTICS_FILE}"]
    if changes:
        logger.info("%s is prepared anew, since this has changed: %s", arguments.output, ", ".join(changes))
        return None
    by_name = [name for name, value in inputs.items() if value == fingerprint.BY_NAME]
    logger.info(
        "nothing changed: %s was made from the same inputs and options%s",
        arguments.output,
        f" ({', '.join(by_name)} by name only; --refresh prepares anew)" if by_name else "",
    )
    return stats


def _write(arguments: PrepareArguments, inputs: dict[str, str]) -> dict:
    from data_scripts.background import collector_paused
    from data_scripts.corpora import loading

    options = (
        arguments.keep_raw_text,
        arguments.val_fraction,
        arguments.seed,
        arguments.num_proc,
        arguments.plain_text,
    )
    with collector_paused():
        with loading(arguments.corpora, *options) as wait_for_corpora:
            learnt = arguments.train_tokenizer_vocab_size
            tokenizer = None if learnt else _load_tokenizer(arguments.tokenizer)
            corpora = wait_for_corpora()
        if tokenizer is None:
            tokenizer = _train_tokenizer(corpora, learnt, with_personas=not arguments.plain_text)
        return _write_dataset(corpora, tokenizer, arguments, inputs)


def _write_dataset(
    corpora: list[Corpus],
    tokenizer: PreTrainedTokenizerBase,
    arguments: PrepareArguments,
    inputs: dict[str, str],
) -> dict:
    from datasets import DatasetDict, concatenate_datasets

    from chat import jsonl
    from chat.template import add_chat_format
    from data_scripts.encode import COUNTS, SPLITS, encode_corpora, statistics
    from data_scripts.mixture import mix

    if not arguments.plain_text:
        add_chat_format(tokenizer)
    with whole_folder(arguments.output, STATISTICS_FILE, "--output") as folder:
        encoded = encode_corpora(
            corpora,
            tokenizer,
            arguments.max_length,
            arguments.history_turns,
            arguments.plain_text,
            arguments.both_sides,
            arguments.num_proc,
        )
        times = numbers_by_name(arguments.times, "--times", "cornell=0.5")
        named = list(zip((corpus.name for corpus in corpora), encoded["train"], strict=True))
        train, val = mix(named, times, arguments.seed), concatenate_datasets(encoded["val"])
        DatasetDict({"train": train, "val": val}).remove_columns(COUNTS).save_to_disk(str(folder))
        tokenizer.save_pretrained(folder / "tokenizer")
        for split in SPLITS:
            dialogues = (dialogue for corpus in corpora for dialogue in getattr(corpus, split))
            jsonl.write(dialogues, folder / "dialogues" / f"{split}.jsonl")
        stats = {
            "format_version": STATS_FORMAT_VERSION,
            "options": _published_options(arguments),
            "vocab_size": len(tokenizer),
            **statistics(corpora, encoded),
            "inputs": inputs,
            "files": fingerprint.sizes(folder, except_for=STATISTICS_FILE),
        }
        (folder / STATISTICS_FILE).write_text(json.dumps(stats, indent=2) + "\n", encoding="utf-8")
    return stats


def _load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    from chat.hub.loading import load_tokenizer

    tokenizer = load_tokenizer(name, "--tokenizer")
    if tokenizer.eos_token is None:
        raise UserError(
            f"--tokenizer {name}: has no end-of-text token (eos_token) to end a turn with; give another"
        )
    return tokenizer


def _train_tokenizer(corpora: list[Corpus], vocab_size: int, with_personas: bool) -> PreTrainedTokenizerBase:
    from data_scripts.train_tokenizer import train_tokenizer

    logger.info("learning a tokenizer of %d tokens from the training text", vocab_size)
    dialogues = (dialogue for corpus in corpora for dialogue in corpus.train)
    texts = (
        text
        for each in dialogues
        for text in (*(each.persona if with_personas else ()), *(turn.text for turn in each.turns))
    )
    return train_tokenizer(texts, vocab_size)


def report(stats: dict, output: str) -> str:
    """The statistics as a table of lines."""
    lines = []
    for name, corpus in stats["corpora"].items():
        for split in stats["total"]:
            figures = corpus[split]
            counts = (
                f"{figures[unit]:>11,} {unit}" for unit in ("dialogues", "sequences", "replies", "tokens")
            )
            lines.append(f"{name:<20}{split:<5}{''.join(counts)} ({figures['reply_tokens']:,} of replies)")
        lines += [f"{name:<20}dropped {count:,} {reason}" for reason, count in corpus["dropped"].items()]
    return "\n".join([*lines, f"saved to {output}"])


def main() -> None:
    arguments = parse_arguments(PrepareArguments, description=__doc__.splitlines()[0])
    destination = _destination(arguments)
    print(report(prepare(arguments), arguments.output))
    if destination:
        from data_scripts.publish import publish

        publish(arguments.output, destination)


def _destination(arguments: PrepareArguments) -> Destination | None:
    """Where the dataset is to be pushed, found usable before anything is prepared."""
    if not arguments.push_to_hub:
        return None
    from chat.hub.repositories import Destination, make_ready

    destination = Destination(arguments.push_to_hub, "dataset", public=arguments.hub_public)
    if failure := make_ready(destination):
        logger.warning("%s: %s; it is tried again when the dataset is there", destination, failure.reason)
    return destination


if __name__ == "__main__":
    run(main)
