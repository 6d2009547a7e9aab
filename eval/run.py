"""Evaluates a model beside its base on held-out dialogues.

    python -m eval.run --model final_model --base openai-community/gpt2 --data tokenized_combined_dialog_data
    python -m eval.run --model final_model --quick true
    python -m eval.run --model final_model --push-to-hub USER/MODEL

Writes `results.json`, every generated reply as `replies.jsonl`, `report.md` and `report.html` to --output. A
killed run goes on when it is started again with the same settings.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from chat.cli import UserError, check_numbers, numbers_by_name, parse_arguments, run
from chat.decoding import check_seed
from chat.dialogue import SPLITS, Dialogue
from chat.folders import Contents, check_replaceable, whole_folder
from chat.published_paths import without_folders
from eval.contenders import Lengths, load_contenders, same_reply_ids
from eval.data import fingerprint, read_views
from eval.processes import this_process
from eval.publish_card import CardToPublish
from eval.report import render, write_reports
from eval.results_file import FORMAT_VERSION, REPLIES_FILE, RESULTS_FILE
from eval.source import SourceEvaluation
from eval.stages import Stages
from eval.training_log import read_curves

LIBRARIES = ("torch", "transformers", "datasets", "evaluate", "tokenizers", "sacrebleu", "rouge-score")
QUICK = {"max_dialogues": 60, "generated_replies": 16, "ranked_replies": 60, "timed_replies": 5}
ZERO_IS_ALL = ("max_dialogues", "ranked_replies")
EVALUATION = Contents(RESULTS_FILE, (REPLIES_FILE, "report.md", "report.html"))


@dataclass(frozen=True)
class EvalArguments:
    model: str = field(metadata={"help": "Path or Hub id of the fine-tuned model."})
    base: str = field(
        default="openai-community/gpt2",
        metadata={
            "help": "Path or Hub id of the model it started from, or its config .json for random weights."
        },
    )
    data: list[str] = field(
        default_factory=lambda: ["tokenized_combined_dialog_data"],
        metadata={"help": "Datasets of `data_scripts.prepare`, or .jsonl files of dialogues not trained on."},
    )
    splits: list[str] = field(
        default_factory=lambda: ["val"],
        metadata={
            "help": "Splits of the datasets: val, train. Of a .jsonl file, lines whose `split` is another "
            "are left out."
        },
    )
    share: list[str] = field(
        default_factory=list,
        metadata={"help": "Share of a corpus's films (or dialogues) to take, drawn by --seed: cornell=0.1."},
    )
    output: str = field(
        default="eval_results", metadata={"help": "Folder for the results; earlier ones there are replaced."}
    )
    training_log: str | None = field(
        default=None,
        metadata={"help": "Folder of the model's TensorBoard logs, for its training curves in the report."},
    )
    quick: bool = field(
        default=False, metadata={"help": "A sample of everything: minutes on two cores for a small model."}
    )
    max_dialogues: int = field(
        default=0,
        metadata={"help": "Score at most this many dialogues per corpus, drawn by --seed (0: all)."},
    )
    generated_replies: int = field(
        default=300, metadata={"help": "Replies to generate per corpus, model and way of decoding (0: none)."}
    )
    ranked_replies: int = field(
        default=0, metadata={"help": "Replies per corpus to find among their distractors (0: all)."}
    )
    timed_replies: int = field(
        default=20, metadata={"help": "Replies per model whose latency is measured (0: none)."}
    )
    seed: int = field(
        default=0, metadata={"help": "Seed of the choice of dialogues and of the generated replies."}
    )
    push_to_hub: str | None = field(
        default=None,
        metadata={"help": "USER/MODEL, this model on the Hub, into whose card the results go."},
    )

    def __post_init__(self):
        check_numbers(
            self, not_negative=("max_dialogues", "generated_replies", "ranked_replies", "timed_replies")
        )
        check_seed(self.seed)
        for split in self.splits:
            if split not in SPLITS:
                raise UserError(f"--splits {split}: give val, train or both")
        for flag, given in (("--data", self.data), ("--splits", self.splits)):
            # Its dialogues would count twice, and the intervals would be too narrow.
            if twice := next((each for each in given if given.count(each) > 1), None):
                raise UserError(f"{flag} {twice}: comes twice; give it once")
        self.shares()

    def shares(self) -> dict[str, float]:
        """`--share` by corpus."""
        shares = numbers_by_name(self.share, "--share", "cornell=0.1")
        for name, share in shares.items():
            if share > 1:
                raise UserError(f"--share {name}={share}: give at most 1")
        return shares

    def limit(self, name: str) -> int:
        """The number, or with --quick its quick one where that is smaller."""
        value = getattr(self, name)
        if not self.quick:
            return value
        return QUICK[name] if value == 0 and name in ZERO_IS_ALL else min(value, QUICK[name])


def evaluate_models(arguments: EvalArguments) -> dict:
    """Evaluates both models and writes the results to `arguments.output`; returns them."""
    process = this_process()
    check_replaceable(arguments.output, EVALUATION, "--output")
    if arguments.training_log:
        read_curves(arguments.training_log)
    views = read_views(
        arguments.data,
        arguments.splits,
        arguments.shares(),
        arguments.limit("max_dialogues"),
        arguments.seed,
    )
    limits = {name: arguments.limit(name) for name in QUICK}
    contenders, decoding = load_contenders(arguments.model, arguments.base, arguments.seed)
    results = {
        "format_version": FORMAT_VERSION,
        "models": {each.row: each.describe() for each in contenders if each.generates},
        "same_reply_ids": same_reply_ids(contenders),
        "data": {name: {"views": len(found), "sha256": fingerprint(found)} for name, found in views.items()},
        "settings": {
            "seed": arguments.seed,
            "quick": arguments.quick,
            "data": [without_folders(path) for path in arguments.data],
            "splits": arguments.splits if _tells_splits(arguments.data, views) else [],
            "share": arguments.shares(),
            "decoding": asdict(decoding),
            **asdict(Lengths.of(contenders, decoding)),
            **limits,
        },
        "libraries": {library: version(library) for library in LIBRARIES},
        "device": process.device.type,
    }
    stages = Stages(arguments.output, results)
    replies: list[dict] = []
    results["figures"] = {}
    for source, of_source in views.items():
        evaluation = SourceEvaluation(source, of_source, contenders, decoding, limits, arguments.seed, stages)
        results["figures"][source] = evaluation.by_row()
        results["data"][source]["replies"] = int(
            results["figures"][source]["model"]["likelihood"]["replies"]["value"]
        )
        replies += evaluation.replies()
    if process.is_main_process:
        _write(arguments, results, replies)
        stages.discard()
    return results


def _tells_splits(data: list[str], views: dict[str, list[Dialogue]]) -> bool:
    """Whether anything says of which split it is: the folder of a dataset, or a dialogue in a file."""
    marked = any(view.split for found in views.values() for view in found)
    return marked or any(Path(path).is_dir() for path in data)


def _write(arguments: EvalArguments, results: dict, replies: list[dict]) -> None:
    with whole_folder(arguments.output, EVALUATION, "--output") as folder:
        (folder / RESULTS_FILE).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        lines = (json.dumps(reply, ensure_ascii=False) + "\n" for reply in replies)
        (folder / REPLIES_FILE).write_text("".join(lines), encoding="utf-8")
        write_reports(folder / RESULTS_FILE, arguments.training_log, arguments.seed, "--output")


def main() -> None:
    arguments = parse_arguments(EvalArguments, description=__doc__)
    card = None
    if arguments.push_to_hub:
        card = CardToPublish.checked(arguments.push_to_hub, arguments.model)
    results = evaluate_models(arguments)
    if not this_process().is_main_process:
        return
    print(render(results))
    print(f"saved to {arguments.output}")
    if card:
        flags = (
            f"--model {card.model.path} --results {arguments.output} --push-to-hub {arguments.push_to_hub}"
        )
        card.push(results, again=f"`python -m eval.card {flags}`")
        print(f"published to {card.destination.url}")


if __name__ == "__main__":
    run(main)
