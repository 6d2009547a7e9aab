"""How the recipes of the embedded model were chosen: short trainings that differ from them in one thing.

    python -m benchmarks.pocket_experiments --plain runs/pocket/plain runs/pocket/plain-4k \\
        --chat runs/pocket/chat runs/pocket/chat-without-daily-dialog

`--plain` and `--chat` name the recipes' dataset first; each further one is an experiment of its own. All
train on about the same number of tokens and are scored on the same replies of PersonaChat's validation set
and of held-out films. What the output has already is kept, so that a stopped run goes on. Prints a table and,
last, one line of JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.reports import report, write
from chat.cli import UserError, check_numbers, parse_arguments, run
from chat.model_files import STATISTICS_FILE
from eval.data import read_views
from eval.figures import likelihood
from eval.formats import PlainFormat, TemplateFormat
from eval.scoring import score_views
from eval.source import dialogue_numbers
from training.arguments import TrainArguments
from training.train import build_trainer

if TYPE_CHECKING:
    from training.trainer import DialogueTrainer

SCORED = {"personachat": "PersonaChat validation", "cornell": "held-out films"}
WARMUP_SHARE = 0.1
# Of the model's configuration and of the recipe, what is changed.
BASE_CHANGES: dict[str, tuple[dict, dict]] = {
    "the recipe": ({}, {}),
    "AdamW, learning rate 2e-3": ({}, {"optimizer": "adamw", "learning_rate": 2e-3}),
    "learning rate 1e-3": ({}, {"learning_rate": 1e-3}),
    "learning rate 6e-3": ({}, {"learning_rate": 6e-3}),
    "3 layers of 384": ({"n_layer": 3, "n_embd": 384, "n_head": 6}, {}),
    "4 layers of 320": ({"n_layer": 4, "n_embd": 320, "n_head": 5}, {}),
    "8 layers of 256": ({"n_layer": 8}, {}),
    "dropout 0.1": ({"resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1}, {}),
}
CHAT_CHANGES: dict[str, dict] = {
    "the recipe": {},
    "AdamW, learning rate 1e-3": {"optimizer": "adamw", "learning_rate": 1e-3},
    "AdamW, learning rate 5e-4": {"optimizer": "adamw", "learning_rate": 5e-4},
    "learning rate 2e-4": {"learning_rate": 2e-4},
    "learning rate 5e-4": {"learning_rate": 5e-4},
    "learning rate 3e-3": {"learning_rate": 3e-3},
}


@dataclass(frozen=True)
class ExperimentArguments:
    plain: list[str] = field(metadata={"help": "Datasets of plain text, the recipe's first."})
    chat: list[str] = field(metadata={"help": "Datasets in the chat format, the recipe's first."})
    base_recipe: str = field(
        default="training/configs/pocket-base.yaml", metadata={"help": "Recipe of the base."}
    )
    chat_recipe: str = field(
        default="training/configs/pocket.yaml", metadata={"help": "Recipe of its fine-tuning."}
    )
    tokens: int = field(default=300_000, metadata={"help": "Tokens that each experiment trains on."})
    batch_rows: int = field(default=4, metadata={"help": "Packed rows in a batch."})
    dialogues: int = field(default=100, metadata={"help": "Dialogues of each corpus that are scored."})
    seed: int = field(default=0, metadata={"help": "Seed of weights, order and choice of dialogues."})
    output: str = field(
        default="runs/pocket/experiments.json",
        metadata={"help": "File for the JSON; what an earlier run left there is not made again."},
    )

    def __post_init__(self):
        check_numbers(self, at_least_one=("tokens", "batch_rows", "dialogues"))


@dataclass(frozen=True)
class Experiment:
    """A training that is one change away from a recipe."""

    stage: str
    name: str
    arguments: TrainArguments
    config_changes: dict


def experiments(arguments: ExperimentArguments) -> Iterator[Experiment]:
    """All that are to be made, the base's first."""
    base, chat = (
        replace(parse_arguments(TrainArguments, ["--config", path]), data=data, seed=arguments.seed)
        for path, data in (
            (arguments.base_recipe, arguments.plain[0]),
            (arguments.chat_recipe, arguments.chat[0]),
        )
    )
    for name, (config_changes, changes) in BASE_CHANGES.items():
        yield Experiment("base", name, replace(base, **changes), config_changes)
    for data in arguments.plain[1:]:
        yield Experiment("base", _description(data), replace(base, data=data), {})
    for name, changes in CHAT_CHANGES.items():
        yield Experiment("chat", name, replace(chat, **changes), {})
    yield Experiment("chat", "from random weights", replace(chat, base=base.base), {})
    for data in arguments.chat[1:]:
        yield Experiment("chat", _description(data), replace(chat, data=data), {})


def _description(data: str) -> str:
    """A further dataset is told by its vocabulary, where that is its own, or by its mixture."""
    stats = json.loads((Path(data) / STATISTICS_FILE).read_text(encoding="utf-8"))
    if stats["options"]["plain_text"]:
        return f"vocabulary of {stats['vocab_size']:,}"
    both_sides = [f"both sides of {name}" for name in stats["options"]["both_sides"]]
    return "data: " + ", ".join([*(stats["options"]["times"] or stats["corpora"]), *both_sides])


def conduct(experiment: Experiment, arguments: ExperimentArguments) -> dict:
    """Trains and scores; returns the figures."""
    with TemporaryDirectory() as folder:
        trainer = _trainer(experiment, arguments, Path(folder))
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
    tokens = trainer.args.max_steps * _tokens_per_step(trainer)
    return {
        "parameters": trainer.model.num_parameters(),
        "tokens": tokens,
        "tokens_per_second": tokens / seconds,
        "bits_per_byte": _bits_per_byte(trainer, experiment, arguments),
    }


def _trainer(experiment: Experiment, arguments: ExperimentArguments, folder: Path) -> DialogueTrainer:
    base = experiment.arguments.base
    if experiment.config_changes:
        config = json.loads(Path(base).read_text(encoding="utf-8"))
        base = str(folder / "config.json")
        Path(base).write_text(json.dumps(config | experiment.config_changes), encoding="utf-8")
    settings = replace(
        experiment.arguments,
        base=base,
        output_dir=str(folder / "run"),
        per_device_train_batch_size=arguments.batch_rows,
        tensorboard=False,
    )
    trainer = build_trainer(settings)
    steps = max(1, arguments.tokens // _tokens_per_step(trainer))
    trainer.args.max_steps, trainer.args.warmup_steps = steps, round(WARMUP_SHARE * steps)
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    trainer.args.load_best_model_at_end = False
    return trainer


def _tokens_per_step(trainer: DialogueTrainer) -> int:
    return trainer.args.per_device_train_batch_size * trainer.train_dataset.row_length


def _bits_per_byte(trainer: DialogueTrainer, experiment: Experiment, arguments: ExperimentArguments) -> dict:
    tokenizer = trainer.processing_class
    format_ = PlainFormat(tokenizer) if experiment.stage == "base" else TemplateFormat(tokenizer)
    views = read_views([arguments.chat[0]], ["val"], {}, arguments.dialogues, arguments.seed)
    model = trainer.model.eval()
    found = {
        source: score_views(model, format_, views[source], model.config.max_position_embeddings)
        for source in SCORED
    }
    return {
        source: likelihood(*scored, dialogue_numbers(views[source]))["bits_per_byte"]
        for source, scored in found.items()
    }


def run_all(arguments: ExperimentArguments) -> dict:
    """Makes what the output file has not, and writes it after each."""
    settings = {name: getattr(arguments, name) for name in ("tokens", "batch_rows", "dialogues", "seed")}
    output = Path(arguments.output)
    results: dict = {"settings": settings, "experiments": []}
    if output.is_file():
        before = json.loads(output.read_text(encoding="utf-8"))
        if before["settings"] != settings:
            raise UserError(f"--output {output}: has experiments of other settings; give another file")
        results = before
    planned = [*experiments(arguments)]
    place = {(each.stage, each.name): number for number, each in enumerate(planned)}
    done = {(row["stage"], row["name"]) for row in results["experiments"]}
    for experiment in planned:
        if (experiment.stage, experiment.name) in done:
            continue
        figures = conduct(experiment, arguments)
        results["experiments"].append({"stage": experiment.stage, "name": experiment.name, **figures})
        results["experiments"].sort(key=lambda row: place.get((row["stage"], row["name"]), len(place)))
        write(results, output)
    return results


def render(results: dict) -> str:
    """The experiments as a Markdown table."""
    lines = [
        "| trained | experiment | parameters | tokens/s | " + " | ".join(SCORED.values()) + " |",
        "|---|---|---|---|" + "---|" * len(SCORED),
    ]
    for row in results["experiments"]:
        figures = (f"{row['bits_per_byte'][source]['value']:.3f}" for source in SCORED)
        lines.append(
            f"| {row['stage']} | {row['name']} | {row['parameters'] / 1e6:.1f}M "
            f"| {row['tokens_per_second']:,.0f} | {' | '.join(figures)} |"
        )
    return "\n".join(lines)


def main() -> None:
    arguments = parse_arguments(ExperimentArguments, description=__doc__)
    report(run_all(arguments), render)


if __name__ == "__main__":
    run(main)
