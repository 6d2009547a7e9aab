"""The results of `eval.run` as one HTML page: plots, replies side by side, all figures, all settings.

The page holds everything that it shows and asks nothing of any server; it is the same for the same input.
"""

from __future__ import annotations

import json
import math
import random
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from eval.plots import bars, length_histogram, training_curves
from eval.report import describe_amount, notes
from eval.results_file import CANDIDATES
from eval.table import COLUMNS, FIRST_TABLE, FURTHER_TABLES, MAIN_FIGURES, build_table, entry_of, figure
from eval.training_log import Curve

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE = "report.html.jinja"
SHOWN_REPLIES = 20
SHOWN_TURNS = 4


def render_html(results: dict, replies: list[dict], curves: dict[str, Curve], seed: int = 0) -> str:
    """The whole page.

    Args:
        results: of `eval.run`.
        replies: as `eval.results_file.load_replies` gives them; may be empty.
        curves: as `eval.training_log.read_curves` gives them; may be empty.
        seed: of the choice of replies.
    """
    return _template().render(
        models=results["models"],
        notes=notes(results),
        columns=COLUMNS,
        corpora=[_corpus(results, source, replies) for source in results["figures"]],
        curves=training_curves(curves, "Loss by step") if curves else "",
        curve_names=list(curves),
        replies=[_shown(reply) for reply in _drawn(replies, seed)],
        reply_count=len(replies),
        seed=seed,
        settings=_flat(results["settings"]),
        libraries=results["libraries"],
        device=results.get("device"),
        data=results["data"],
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE)


def _corpus(results: dict, source: str, replies: list[dict]) -> dict:
    rows = results["figures"][source]
    lengths = _lengths([reply for reply in replies if reply["source"] == source])
    return {
        "name": source,
        "amount": describe_amount(results, source),
        "plots": _plots(results, source),
        "lengths": length_histogram(lengths, f"{source}: reply lengths in words") if lengths else "",
        "length_rows": list(lengths),
        "tables": [
            (title, table)
            for title, groups in {"": FIRST_TABLE, **FURTHER_TABLES}.items()
            if (table := build_table(rows, groups)).rows
        ],
    }


def _plots(results: dict, source: str) -> list[tuple[str, str]]:
    """(title, SVG) of the main figures that there are and that may be compared."""
    plots = []
    for group, key in MAIN_FIGURES:
        if key == "perplexity" and not results["same_reply_ids"]:
            continue
        found = {row: entry_of(results["figures"][source], row, group, key) for row in COLUMNS}
        entries = {row: entry for row, entry in found.items() if entry and math.isfinite(entry["value"])}
        if entries:
            each = figure(group, key)
            plots.append((each.label, bars(entries, each.form, f"{source}: {each.name}")))
    return plots


def _lengths(replies: list[dict]) -> dict[str, list[int]]:
    """Words per reply by row, of the sampled replies."""
    lengths = {
        role: [len(reply[role]["sampled"].split()) for reply in replies if "sampled" in reply[role]]
        for role in CANDIDATES
    }
    lengths["human"] = [len(reply["human"].split()) for reply in replies]
    return {row: found for row, found in lengths.items() if found}


def _drawn(replies: list[dict], seed: int) -> list[dict]:
    chosen = random.Random(seed).sample(range(len(replies)), min(SHOWN_REPLIES, len(replies)))
    return [replies[index] for index in sorted(chosen)]


def _shown(reply: dict) -> dict:
    """A reply with its context apart: the persona, the turns before the last ones, the last ones."""
    persona = [text for role, text in reply["context"] if role == "system"]
    turns = [(role, text) for role, text in reply["context"] if role != "system"]
    return {**reply, "persona": persona, "earlier": turns[:-SHOWN_TURNS], "turns": turns[-SHOWN_TURNS:]}


def _flat(settings: dict, prefix: str = "") -> list[tuple[str, str]]:
    """Settings as dotted names and JSON values."""
    lines = []
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            lines += _flat(value, f"{prefix}{name}.")
        else:
            lines.append((f"{prefix}{name}", json.dumps(value, ensure_ascii=False)))
    return lines
