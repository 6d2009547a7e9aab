"""A tokenised dataset on the Hub: the rows as Parquet, with tokenizer, dialogues, statistics and a card."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError, command_line, first_line, numbers_by_name
from chat.dialogue import SPLITS
from chat.folders import is_write_failure
from chat.hub import publishing
from chat.hub.cards import refuse_anothers
from chat.hub.errors import Failure
from chat.hub.merged_cards import OwnPart, merged_card
from chat.hub.publishing import persistently, publish_folder
from chat.hub.repositories import Destination, make, make_ready
from chat.markdown import code_span
from chat.model_files import STATISTICS_FILE
from data_scripts.arguments import PrepareArguments
from data_scripts.provenance import described, given_corpora

if TYPE_CHECKING:
    from datasets import Dataset
    from huggingface_hub import DatasetCard

TEMPLATE = Path(__file__).parent / "dataset_card.md"
SHARD_BYTES = 500 * 10**6
COUNTED = ("dialogues", "sequences", "replies", "tokens", "reply_tokens")
OWN_PART = OwnPart(
    "<!-- Written by `python -m data_scripts.prepare`",
    "<!-- Here ends what `python -m data_scripts.prepare` writes. -->",
)
# What of the metadata the files decide.
OWN_METADATA = ("configs", "size_categories")
AGAIN = f"{publishing.AGAIN}: what is prepared is not prepared anew"
OURS = ("data/*", "tokenizer/*", "dialogues/*", STATISTICS_FILE)
SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)


def make_dataset_ready(destination: Destination) -> Failure | None:
    """Makes the dataset where there is none; another one by this name is left alone.

    Returns:
        Why the Hub cannot be asked now, where a later try may succeed.

    Raises:
        UserError: the Hub refuses, or it is another dataset.
    """
    return make_ready(destination, lambda: refuse_anothers(destination, OWN_PART.begin))


def publish(output: str | Path, destination: Destination) -> None:
    """Pushes a dataset that `data_scripts.prepare` wrote, as one commit.

    Raises:
        UserError: it is not on the Hub, and why; the dataset is whole where it was.
    """

    def refuse() -> None:
        make(destination)
        refuse_anothers(destination, OWN_PART.begin)

    # At the start the Hub may have been out of reach.
    undone = f"{output} is not on the Hub, but whole on this machine"
    persistently(refuse, destination, undone=undone, again=AGAIN)
    with _laid_out(Path(output), destination.repo_id) as folder:
        publish_folder(
            folder,
            destination,
            message="Dataset of data_scripts.prepare",
            ours=OURS,
            merge_card=lambda there, ours: merged_card(there, ours, OWN_PART, OWN_METADATA),
            what=str(output),
            again=AGAIN,
        )


@contextmanager
def _laid_out(output: Path, repo_id: str) -> Iterator[Path]:
    """The files as `load_dataset` expects them, in a folder beside the dataset, while the block lasts."""
    from datasets import load_from_disk

    folder = output.parent / f".{output.name}.publishing"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        (folder / "data").mkdir(parents=True)
        for split, rows in load_from_disk(str(output)).items():
            _write_shards(rows, folder / "data", split)
        for name in ("tokenizer", "dialogues"):
            shutil.copytree(output / name, folder / name)
        shutil.copyfile(output / STATISTICS_FILE, folder / STATISTICS_FILE)
        statistics = json.loads((output / STATISTICS_FILE).read_text(encoding="utf-8"))
        (folder / "README.md").write_text(str(render_card(statistics, repo_id)), encoding="utf-8")
        yield folder
    except PermissionError as error:
        raise UserError(
            f"--output {output}: the files to push cannot be written beside it ({error.strerror}); the "
            f"dataset is whole; mend that and {publishing.AGAIN}"
        ) from error
    except Exception as error:
        if isinstance(error, UserError) or not is_write_failure(error):
            raise
        raise UserError(
            f"--output {output}: no room beside it for the files to push ({first_line(error)}); the "
            f"dataset is whole; make room and {publishing.AGAIN}"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_shards(rows: Dataset, folder: Path, split: str) -> None:
    count = max(1, -(-rows.data.nbytes // SHARD_BYTES))
    for index in range(count):
        rows.shard(count, index).to_parquet(folder / f"{split}-{index:05d}-of-{count:05d}.parquet")


def _train_command(repo_id: str, options: dict) -> str:
    """By the base that brings this tokenizer or, where it was learnt here, by a configuration."""
    command = ["python", "-m", "training.train", "--data", repo_id]
    if options["train_tokenizer_vocab_size"]:
        command += ["--base", "training/configs/models/gpt2-7m.json"]
    elif options["tokenizer"] != PrepareArguments.tokenizer:
        command += ["--base", options["tokenizer"]]
    return shlex.join(command)


def render_card(statistics: dict, repo_id: str) -> DatasetCard:
    """The dataset's card: what is in it, where it comes from, under which terms, and how it is made again.

    Args:
        statistics: `stats.json` of the dataset.
    """
    from huggingface_hub import DatasetCard, DatasetCardData

    corpora, options = statistics["corpora"], statistics["options"]
    given = given_corpora(statistics)
    provenance = described(given)
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in SPLITS]
    times = numbers_by_name(options["times"], "--times", "")
    sequences = statistics["total"]["val"]["sequences"] + sum(
        each["train"]["sequences"] * times.get(given[name][0], 1) for name, each in corpora.items()
    )
    data = DatasetCardData(
        language="en",
        license="other",
        license_name="terms-of-the-corpora",
        task_categories=["text-generation"],
        size_categories=[next((label for limit, label in SIZES if sequences < limit), "n>10M")],
        tags=["conversational", "tokenized"],
        pretty_name=repo_id.split("/")[-1],
        configs=[{"config_name": "default", "data_files": files}],
    )
    return DatasetCard.from_template(
        data,
        template_path=str(TEMPLATE),
        begin=OWN_PART.begin,
        end=OWN_PART.end,
        repo_id=repo_id,
        title=repo_id,
        options=options,
        train_command=_train_command(repo_id, options),
        vocab_size=statistics["vocab_size"],
        corpora=corpora,
        counted=COUNTED,
        described=provenance,
        read_from={name: path and code_span(path) for name, (_, path) in given.items()},
        command=command_line("data_scripts.prepare", PrepareArguments, options),
        citations=list(dict.fromkeys(each.citation for each in provenance.values() if each.citation)),
    )
