"""A model's card as text, by the template `model_card.md`.

Every figure comes from the results, the folder or the dataset's statistics.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import command_line
from chat.dialogue import SPLITS
from chat.hub.merged_cards import OwnPart
from chat.markdown import code_span, escaped, on_one_line
from chat.published_paths import published
from data_scripts.arguments import PrepareArguments
from data_scripts.provenance import PROVENANCE, described, given_corpora
from eval.card_data import card_data, corpus_and_split
from eval.model_folder import COUNTED, ModelFolder, own_statistics, read_model_folder
from eval.report import corpus_tables, notes, write_text

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

TEMPLATE = Path(__file__).parent.parent / "model_card.md"
OWN_PART = OwnPart(
    "<!-- Written by `python -m eval.card`", "<!-- Here ends what `python -m eval.card` writes. -->"
)
OTHER_LICENSE = "other"


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
        results: of `eval.run`; None for a model that was not evaluated yet.
        model: the folder of the model that was evaluated.
        statistics: `stats.json` of the dataset it was trained on.
        model_id: the name by which the card's snippets load the model.
        row: of the results, the model's: `base` where it was evaluated as what another was compared with.
    """
    from huggingface_hub import ModelCard

    model_id = on_one_line(model_id)
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
        corpora=_corpora(results, statistics, given),
        described=PROVENANCE | described(given),
        statistics=statistics,
        times=escaped(", ".join((statistics or {}).get("options", {}).get("times") or [])),
        is_evaluated=bool(results),
        commands=_commands(results, statistics, model_id, row),
        **_training(model),
        **(_evaluation(results, row) if results else {}),
    )


def _training(model: ModelFolder) -> dict:
    """What the template tells of how the model was trained."""
    return {
        "base": model.base and code_span(published(model.base)),
        "base_is_random": bool(model.base and model.base.endswith(".json")),
        "settings": _written(model.settings),
        "trainer_state": model.trainer_state,
        "best": model.lowest_validation_loss(),
        "prefer_settings": _written(model.prefer_settings),
        "prefer_state": model.prefer_state,
    }


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
        "has_base_in_template": any("base_in_template" in rows for rows in results["figures"].values()),
        "base_chats": results["models"]["base"].get("chats", False),
        "decoding": _written(results["settings"].get("decoding") or {}),
        "libraries": _written(results["libraries"]),
        "device": escaped(str(results.get("device") or "")),
    }


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
            "rows": [(split, [counts[split][unit] for unit in COUNTED]) for split in SPLITS],
        }
        for name, counts in statistics["corpora"].items()
    }


def _commands(results: dict | None, statistics: dict | None, model_id: str, row: str) -> dict[str, str]:
    """How data and figures were made, as far as statistics and results tell."""
    from eval.run import EvalArguments

    commands = {}
    if results:
        names = {each: published(results["models"][each]["name"]) for each in ("model", "base")}
        settings = {**results["settings"], **names, row: model_id}
        settings["share"] = [f"{name}={share}" for name, share in (settings.get("share") or {}).items()]
        commands["evaluate"] = command_line("eval.run", EvalArguments, settings)
    if statistics:
        # Statistics of earlier versions tell the number of processes, which changes nothing in a dataset.
        options = {**statistics["options"], "num_proc": None}
        commands["prepare"] = command_line("data_scripts.prepare", PrepareArguments, options)
    return commands


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
    write_text(path, str(render_card(None, model, statistics, model_id=model_id)), "--final-model-dir")
