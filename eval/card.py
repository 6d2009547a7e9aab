"""The model card of a trained model, rendered from its results: the README.md of its folder.

    python -m eval.card --model final_model --results eval_results --data tokenized_combined_dialog_data
    python -m eval.card --model final_model --results eval_results --push-to-hub USER/MODEL

The template is `model_card.md`. Every figure comes from the results, the folder or the dataset's statistics.
What others wrote into the card on the Hub, outside our part, stays there.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError, command_line, parse_arguments, run
from chat.hub.merged_cards import OwnPart, merged_card
from chat.markdown import code_span, escaped, on_one_line
from data_scripts.provenance import PROVENANCE, described, given_corpora
from eval.card_data import card_data, corpus_and_split
from eval.model_folder import (
    COUNTED,
    ModelFolder,
    evaluated_as,
    load_statistics,
    own_statistics,
    read_model_folder,
)
from eval.report import corpus_tables, notes, write_text
from eval.results_file import as_current, load_results, results_path

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

TEMPLATE = Path(__file__).parent.parent / "model_card.md"
# What the model's folder tells better than an older card.
OWN_METADATA = ("base_model", "library_name", "pipeline_tag")
OWN_PART = OwnPart(
    "<!-- Written by `python -m eval.card`", "<!-- Here ends what `python -m eval.card` writes. -->"
)
OTHER_LICENSE = "other"


@dataclass(frozen=True)
class CardArguments:
    model: str = field(metadata={"help": "Folder of the trained model."})
    results: str = field(
        default="eval_results",
        metadata={"help": "Folder that `eval.run` wrote for this model, or its results.json."},
    )
    data: str | None = field(
        default=None,
        metadata={
            "help": "Dataset of `data_scripts.prepare` that it was trained on, for its statistics (default: "
            "the model's own stats.json, if it has one)."
        },
    )
    model_id: str | None = field(
        default=None,
        metadata={"help": "Hub id to call the model by (default: --push-to-hub, else the folder's name)."},
    )
    license: str = field(
        default=OTHER_LICENSE,
        metadata={"help": "The Hub's name of the licence; `other`: the terms of base and corpora."},
    )
    language: str = field(default="en", metadata={"help": "Language of the dialogues, as ISO 639 code."})
    output: str | None = field(
        default=None, metadata={"help": "File for the card (default: README.md in the model's folder)."}
    )
    push_to_hub: str | None = field(
        default=None,
        metadata={"help": "USER/MODEL, this model on the Hub, whose card is brought up to date as well."},
    )

    def __post_init__(self):
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.license):
            raise UserError(f"--license {self.license}: give the Hub's name of one, such as mit, or other")
        if not re.fullmatch(r"[a-z]{2,3}", self.language):
            raise UserError(f"--language {self.language}: give an ISO 639 code, such as en")
        if self.model_id is not None:
            _check_model_id(self.model_id)

    def given_metadata(self) -> list[str]:
        """What of the metadata the flags say; of the rest, what a card on the Hub says stays."""
        defaults = {each.name: each.default for each in fields(self)}
        given = [name for name in ("license", "language") if getattr(self, name) != defaults[name]]
        return [*given, "license_name"] if "license" in given else given


def _check_model_id(model_id: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(model_id)
    except HFValidationError:
        raise UserError(f"--model-id {model_id}: no Hub id; give one such as user/name") from None


def render_card(
    results: dict | None,
    model: ModelFolder,
    statistics: dict | None = None,
    *,
    model_id: str,
    row: str = "model",
    license: str = OTHER_LICENSE,
    language: str = "en",
) -> ModelCard:
    """The card, with its metadata.

    Args:
        results: of `eval.run`, of any known format version; None for a model that was not evaluated yet.
        model: the folder of the model that was evaluated.
        statistics: `stats.json` of the dataset it was trained on.
        model_id: the name by which the card's snippets load the model.
        row: of the results, the model's: `base` where it was evaluated as what another was compared with.
    """
    from huggingface_hub import ModelCard

    results, model_id = results and as_current(results), on_one_line(model_id)
    given = given_corpora(statistics) if statistics else {}
    return ModelCard.from_template(
        card_data(results, model, statistics, model_id, license, language, row),
        template_path=str(TEMPLATE),
        begin=OWN_PART.begin,
        end=OWN_PART.end,
        title=escaped(model_id),
        model_literal=json.dumps(model_id, ensure_ascii=False),
        chat_command=code_span(shlex.join(["python", "-m", "chat", "--model", model_id])),
        architecture=escaped(model.architecture),
        is_base=model.is_base(statistics, row),
        row=row,
        train_command=code_span(shlex.join(["--base", model_id])),
        parameters=results["models"][row]["parameters"] if results else model.parameters(),
        positions=model.positions,
        sizes=model.sizes,
        base=model.base and code_span(published(model.base)),
        base_is_random=bool(model.base and model.base.endswith(".json")),
        corpora=_corpora(results, statistics, given),
        described=PROVENANCE | described(given),
        statistics=statistics,
        times=escaped(", ".join((statistics or {}).get("options", {}).get("times") or [])),
        settings=_written(model.settings),
        trainer_state=model.trainer_state,
        best=model.lowest_validation_loss(),
        prefer_settings=_written(model.prefer_settings),
        prefer_state=model.prefer_state,
        is_evaluated=bool(results),
        commands=_commands(results, statistics, model_id, row),
        **(_evaluation(results, row) if results else {}),
    )


def _evaluation(results: dict, row: str) -> dict:
    """What the template tells of the figures."""
    other = results["models"]["base" if row == "model" else "model"]
    return {
        "compared_with": code_span(published(other["name"])),
        "compared_parameters": other["parameters"],
        "notes": notes(results),
        "tables": {
            escaped(source): "\n".join(corpus_tables(results, source)) for source in results["figures"]
        },
        "has_replies": any("human" in rows for rows in results["figures"].values()),
        "decoding": _written(results["settings"].get("decoding") or {}),
        "libraries": _written(results["libraries"]),
        "device": escaped(str(results.get("device") or "")),
    }


def published(name: str) -> str:
    """A model's name as a reader elsewhere can use it: of a path on this machine only the last part."""
    return Path(name).name if name.startswith(("/", "~", ".")) else name


def _written(values: dict) -> dict[str, str]:
    """Names and values as text; what is not set is left out."""
    return {
        name: escaped(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in values.items()
        if value is not None
    }


def _corpora(
    results: dict | None, statistics: dict | None, given: dict[str, tuple[str, str]]
) -> dict[str, dict]:
    """By name, the corpora of the training data; without its statistics, those of the evaluation."""
    if not statistics:
        sources = (corpus_and_split(source, results)[0] for source in (results or {"figures": ()})["figures"])
        return {name: {"label": escaped(name), "rows": []} for name in dict.fromkeys(sources)}
    return {
        name: {
            "label": escaped(name),
            "read_from": escaped(given[name][1]),
            "swapped_copies": counts.get("swapped_copies", 0),
            "rows": [(split, [counts[split][unit] for unit in COUNTED]) for split in ("train", "val")],
        }
        for name, counts in statistics["corpora"].items()
    }


def _commands(results: dict | None, statistics: dict | None, model_id: str, row: str) -> dict[str, str]:
    """How data and figures were made, as far as statistics and results tell."""
    from data_scripts.arguments import PrepareArguments
    from eval.run import EvalArguments

    commands = {}
    if results:
        names = {each: published(results["models"][each]["name"]) for each in ("model", "base")}
        settings = {**results["settings"], **names, row: model_id}
        settings["share"] = [f"{name}={share}" for name, share in (settings.get("share") or {}).items()]
        commands["evaluate"] = command_line("eval.run", EvalArguments, settings)
    if statistics:
        options = {**statistics["options"], "num_proc": None}
        commands["prepare"] = command_line("data_scripts.prepare", PrepareArguments, options)
    return commands


def _statistics(arguments: CardArguments, model: ModelFolder) -> dict | None:
    if arguments.data:
        return load_statistics(arguments.data, "--data")
    return own_statistics(model, "--model")


def write_card_without_results(folder: str, model_id: str) -> None:
    """A card that says that the model was not evaluated, unless the folder has a card already.

    Args:
        folder: that training wrote.
        model_id: the name by which the card's snippets load the model.
    """
    path = Path(folder) / "README.md"
    if path.exists():
        return
    model = read_model_folder(folder, "--final-model-dir")
    statistics = own_statistics(model, "--final-model-dir")
    row = "base" if statistics and statistics["options"].get("plain_text") else "model"
    write_text(
        path, str(render_card(None, model, statistics, model_id=model_id, row=row)), "--final-model-dir"
    )


def merge_with_hub(there: str | None, card: str) -> str:
    """A card for the Hub: ours is merged with the one there, one that its author wrote is taken as it is."""
    return merged_card(there, card, OWN_PART, OWN_METADATA) if OWN_PART.begin in card else card


def _check_output(output: Path) -> None:
    """Raises UserError where the card would take the place of something that somebody else wrote."""
    if output.is_dir():
        raise UserError(f"--output {output}: is a folder; give a file, such as README.md")
    if output.exists() and OWN_PART.begin not in output.read_text(encoding="utf-8", errors="replace"):
        raise UserError(
            f"--output {output}: is there and was not written by `python -m eval.card`; move it away, or "
            "give another file"
        )


def main() -> None:
    arguments = parse_arguments(CardArguments, description=__doc__.splitlines()[0])
    model = read_model_folder(arguments.model, "--model")
    path = results_path(arguments.results)
    results = load_results(path, "--results")
    statistics = _statistics(arguments, model)
    output = Path(arguments.output).expanduser() if arguments.output else model.path / "README.md"
    _check_output(output)
    row = evaluated_as(results, arguments.model, ("--model", f"--results {path}"))
    destination = None
    if arguments.push_to_hub:
        from eval.publish_card import card_destination, push_card

        destination = card_destination(arguments.push_to_hub, model.path)
    card = render_card(
        results,
        model,
        statistics,
        row=row,
        model_id=arguments.model_id or arguments.push_to_hub or model.path.resolve().name,
        license=arguments.license,
        language=arguments.language,
    )
    write_text(output, str(card), "--output")
    print(f"saved to {output}")
    if destination:
        push_card(destination, card, arguments.given_metadata(), again="give the same command again")
        print(f"published to {destination.url}")


if __name__ == "__main__":
    run(main)
