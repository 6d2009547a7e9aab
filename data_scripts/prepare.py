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
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError, parse_arguments, run
from chat.dialogue import SPLITS
from chat.folders import Contents, check_replaceable, is_whole, sizes, whole_folder
from chat.model_files import STATISTICS_FILE
from chat.published_paths import published, without_folders
from data_scripts import fingerprint
from data_scripts.arguments import PrepareArguments

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from chat.hub.repositories import Destination
    from data_scripts.corpora import Corpus

logger = logging.getLogger(__name__)
STATS_FORMAT_VERSION = 1
DATASET = Contents(STATISTICS_FILE, ("dataset_dict.json", *SPLITS, "tokenizer", "dialogues"))


def prepare(arguments: PrepareArguments) -> dict:
    """Sees to it that the tokenised dataset is in `arguments.output`; returns its statistics."""
    check_replaceable(arguments.output, DATASET, "--output")
    # Before anything is read: what is changed while it is being read must count as changed the next time.
    tokenizer = None if arguments.train_tokenizer_vocab_size else arguments.tokenizer
    inputs = fingerprint.of_inputs(arguments.deciding(), arguments.corpora, tokenizer)
    return _stats_if_unchanged(arguments, inputs) or _write(arguments, inputs)


def _stats_if_unchanged(arguments: PrepareArguments, inputs: dict[str, str]) -> dict | None:
    """The statistics of the dataset that is there, where it is whole and made from the same inputs."""
    path = Path(arguments.output) / STATISTICS_FILE
    if arguments.refresh or not path.is_file():
        return None
    try:
        stats = json.loads(path.read_text(encoding="utf-8"))
        changes = fingerprint.changes(inputs, stats["inputs"])
        if not is_whole(path.parent, stats["files"]):
            changes.append("files of the dataset itself")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
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
    from data_scripts.swaps import add_swapped_copies

    with collector_paused():
        with loading(arguments) as wait_for_corpora:
            learnt = arguments.train_tokenizer_vocab_size
            tokenizer = None if learnt else _load_tokenizer(arguments.tokenizer, arguments.plain_text)
            corpora = wait_for_corpora()
        add_swapped_copies(corpora, arguments.copies_by_corpus(), arguments.seed)
        if tokenizer is None:
            tokenizer = _train_tokenizer(corpora, learnt, arguments.plain_text)
        return _write_dataset(corpora, tokenizer, arguments, inputs)


def _write_dataset(
    corpora: list[Corpus],
    tokenizer: PreTrainedTokenizerBase,
    arguments: PrepareArguments,
    inputs: dict[str, str],
) -> dict:
    from datasets import DatasetDict, concatenate_datasets

    from chat import jsonl
    from data_scripts.encode import COUNTS, encode_corpora, statistics
    from data_scripts.mixture import mix

    with whole_folder(arguments.output, DATASET, "--output") as folder:
        encoded = encode_corpora(corpora, tokenizer, arguments)
        named = list(zip((corpus.name for corpus in corpora), encoded["train"], strict=True))
        train = mix(named, arguments.times_by_corpus(), arguments.seed)
        val = concatenate_datasets(encoded["val"])
        DatasetDict({"train": train, "val": val}).remove_columns(COUNTS).save_to_disk(str(folder))
        tokenizer.save_pretrained(folder / "tokenizer")
        for split in SPLITS:
            dialogues = (dialogue for corpus in corpora for dialogue in getattr(corpus, split))
            jsonl.write(dialogues, folder / "dialogues" / f"{split}.jsonl")
        stats = {
            "format_version": STATS_FORMAT_VERSION,
            "options": {
                **arguments.deciding(),
                "corpora": [without_folders(specification) for specification in arguments.corpora],
                "tokenizer": published(arguments.tokenizer),
            },
            "vocab_size": len(tokenizer),
            **statistics(corpora, encoded),
            "inputs": inputs,
            "files": sizes(folder, except_for=STATISTICS_FILE),
        }
        (folder / STATISTICS_FILE).write_text(json.dumps(stats, indent=2) + "\n", encoding="utf-8")
    return stats


def _load_tokenizer(name: str, plain_text: bool) -> PreTrainedTokenizerBase:
    from chat.hub.loading import load_tokenizer
    from chat.template import add_chat_format

    tokenizer = load_tokenizer(name, "--tokenizer")
    if tokenizer.eos_token is None:
        raise UserError(
            f"--tokenizer {name}: has no end-of-text token (eos_token) to end a turn with; give another"
        )
    if plain_text:
        return tokenizer
    try:
        return add_chat_format(tokenizer)
    except ValueError as error:
        raise UserError(f"--tokenizer {name}: {error}; give another") from None


def _train_tokenizer(corpora: list[Corpus], vocab_size: int, plain_text: bool) -> PreTrainedTokenizerBase:
    from chat.template import add_chat_format
    from data_scripts.train_tokenizer import train_tokenizer

    logger.info("learning a tokenizer of %d tokens from the training text", vocab_size)
    dialogues = (dialogue for corpus in corpora for dialogue in corpus.train)
    texts = (
        text
        for each in dialogues
        for text in (*(() if plain_text else each.persona), *(turn.text for turn in each.turns))
    )
    tokenizer = train_tokenizer(texts, vocab_size)
    return tokenizer if plain_text else add_chat_format(tokenizer)


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
        if copies := corpus["swapped_copies"]:
            lines.append(f"{name:<20}among them {copies:,} copies with the persona's details swapped")
        lines += [f"{name:<20}dropped {reason}: {count:,}" for reason, count in corpus["dropped"].items()]
    return "\n".join([*lines, f"saved to {output}"])


def main() -> None:
    arguments = parse_arguments(PrepareArguments, description=__doc__)
    destination = _destination(arguments)
    print(report(prepare(arguments), arguments.output))
    if destination:
        from data_scripts.publish import publish

        publish(arguments.output, destination)


def _destination(arguments: PrepareArguments) -> Destination | None:
    """Where the dataset is to be pushed, found usable before anything is prepared."""
    if not arguments.push_to_hub:
        return None
    from chat.hub.repositories import Destination
    from data_scripts.publish import make_dataset_ready

    destination = Destination(arguments.push_to_hub, "dataset", public=arguments.hub_public)
    if failure := make_dataset_ready(destination):
        logger.warning("%s: %s; it is tried again when the dataset is there", destination, failure.reason)
    return destination


if __name__ == "__main__":
    run(main)
