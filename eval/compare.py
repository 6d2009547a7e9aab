"""Runs of `eval.run` side by side: one table per corpus, a row per run, the best in bold.

    python -m eval.compare eval_results other_results --output leaderboard.md

Runs are sorted by bits per byte, the one figure that compares across tokenizers.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from chat.cli import parse_arguments, run
from chat.markdown import escaped
from eval.report import check_output, write_text
from eval.results_file import load_results, results_path
from eval.table import ARROWS, HIGHER, LOWER, entry_of, figure

COMPARED = (
    ("likelihood", "bits_per_byte"),
    ("likelihood", "perplexity"),
    ("ranking", "hits_at_1"),
    ("sampled", "token_f1"),
    ("sampled", "distinct_1"),
    ("sampled", "distinct_2"),
    ("sampled", "self_repetition"),
    ("sampled", "mean_words"),
)
CUT_TO_POSITIONS = ("likelihood", "ranking")
OTHER_DATA = "\\*"
FIRST_LINE = f"{ARROWS}. Bold: the best of the runs that compare."


@dataclass(frozen=True)
class CompareArguments:
    results: list[str] = field(metadata={"help": "Folders that `eval.run` wrote, or their results.json."})
    output: str | None = field(default=None, metadata={"help": "File for the tables (.md), too."})


@dataclass(frozen=True)
class Row:
    """A run on one corpus."""

    name: str
    sha256: str
    tokens: float | None
    drawn_with: str
    ranked: str
    positions: int | None
    entries: dict[str, dict]

    @classmethod
    def of(cls, name: str, results: dict, source: str) -> Row:
        rows, settings = results["figures"][source], results["settings"]
        ranked = settings.get("ranked_replies")
        found = {key: entry_of(rows, "model", group, key) for group, key in COMPARED}
        tokens = entry_of(rows, "model", "likelihood", "tokens")
        generated = entry_of(rows, "model", "sampled", "generated")
        return cls(
            name=name,
            sha256=results["data"][source]["sha256"],
            tokens=tokens and tokens["value"],
            drawn_with=str((settings.get("decoding"), generated and generated["value"])),
            ranked=str(ranked and (ranked, settings.get("seed"))),
            positions=settings.get("positions"),
            entries={key: entry for key, entry in found.items() if entry},
        )

    @property
    def rank(self) -> tuple[float, str]:
        return self.entries.get("bits_per_byte", {"value": math.inf})["value"], self.name


def compare(runs: dict[str, dict]) -> str:
    """Markdown: the runs' models, by name, on every corpus that any of them was evaluated on."""
    by_source: dict[str, list[Row]] = {}
    for name, results in runs.items():
        for source in results["figures"]:
            by_source.setdefault(source, []).append(Row.of(name, results, source))
    lines = [FIRST_LINE]
    for source, rows in by_source.items():
        lines += ["", f"### {escaped(source)}", "", *_table(rows)]
    return "\n".join(lines) + "\n"


def _table(rows: list[Row]) -> list[str]:
    """The runs on the data that most of them share, best first; below them, marked, those on other data."""
    counts = Counter(row.sha256 for row in rows)
    shared = max(counts, key=counts.__getitem__)
    ranked = sorted(rows, key=lambda row: (row.sha256 != shared, row.rank))
    comparable = [row for row in ranked if row.sha256 == shared]
    columns = [(group, key) for group, key in COMPARED if any(key in row.entries for row in rows)]
    best = {key: _best(group, key, comparable) for group, key in columns}
    labels = (figure(group, key).label for group, key in columns)
    lines = [f"| run | {' | '.join(labels)} |", "|" + "---|" * (len(columns) + 1)]
    for row in ranked:
        name = escaped(row.name) + ("" if row.sha256 == shared else f" {OTHER_DATA}")
        marks = best if row.sha256 == shared else {}
        cells = (_cell(row, group, key, marks.get(key)) for group, key in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines + _footnotes(ranked, comparable)


def _best(group: str, key: str, rows: list[Row]) -> float | None:
    """The best value, where it is clear which way is better and there is something to be better than."""
    values = [row.entries[key]["value"] for row in rows if key in row.entries]
    better = figure(group, key).better
    if len(values) < 2 or not better or (key == "perplexity" and not _share_tokens(rows)):
        return None
    if group in CUT_TO_POSITIONS and not _share_positions(rows):
        return None
    return {LOWER: min, HIGHER: max}[better](values)


def _cell(row: Row, group: str, key: str, best: float | None) -> str:
    entry = row.entries.get(key)
    written = figure(group, key).write(entry)
    return f"**{written}**" if entry and entry["value"] == best else written


def _share_tokens(rows: list[Row]) -> bool:
    return len({row.tokens for row in rows}) == 1


def _share_positions(rows: list[Row]) -> bool:
    """Also where earlier versions did not write them down."""
    return len({row.positions for row in rows if row.positions}) < 2


def _footnotes(ranked: list[Row], comparable: list[Row]) -> list[str]:
    lines = []
    if len(comparable) < len(ranked):
        lines.append(
            f"{OTHER_DATA} evaluated on other data (another sha256): does not compare with the rest."
        )
    if not _share_tokens(comparable):
        lines.append("The runs have different tokenizers: their perplexities do not compare.")
    if not _share_positions(comparable):
        lines.append(
            "The runs were measured in different numbers of positions, to which dialogues and replies are "
            "cut: bits per byte, perplexity and hits@1 compare roughly."
        )
    if len({row.drawn_with for row in comparable}) > 1:
        lines.append(
            "The runs' replies were drawn with different settings or in different numbers: what is counted "
            "in replies (distinct-n, words, repetition) compares roughly."
        )
    if len({row.ranked for row in comparable if "hits_at_1" in row.entries}) > 1:
        lines.append("The runs ranked different replies, or different numbers: hits@1 compares roughly.")
    return [item for line in lines for item in ("", line)]


def _names(paths: list[Path]) -> dict[str, Path]:
    """Each run's folder as its name; where several have that, the folder's path, or the file's."""
    names = [
        (Path(os.path.realpath(path)).parent.name, path.parent.as_posix(), path.as_posix()) for path in paths
    ]
    given = Counter(name for of_path in names for name in {*of_path})
    return {
        next((name for name in of_path if given[name] == 1), of_path[-1]): path
        for of_path, path in zip(names, paths, strict=True)
    }


def main() -> None:
    arguments = parse_arguments(CompareArguments, description=__doc__, positional="results")
    paths = list(dict.fromkeys(results_path(given) for given in arguments.results))
    if arguments.output:
        output, command = Path(arguments.output), "python -m eval.compare"
        check_output(output, command, "leaderboard.md", lambda text: text.startswith(FIRST_LINE))
    table = compare({name: load_results(path, "--results") for name, path in _names(paths).items()})
    if arguments.output:
        write_text(output, table, "--output")
    print(table)


if __name__ == "__main__":
    run(main)
