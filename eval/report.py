"""The results of `eval.run` as tables, and as a page with plots and replies.

    python -m eval.report eval_results --training-log runs/gpt2

Prints the tables; writes them as `report.md` and the page as `report.html` beside the results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chat.cli import UserError, parse_arguments, run
from chat.markdown import code_span, escaped
from eval.results_file import load_replies, load_results, results_path
from eval.table import (
    FIRST_TABLE,
    FURTHER_TABLES,
    INTERVALS,
    LEGEND,
    MAIN_FIGURES,
    build_table,
    has_intervals,
)
from eval.training_log import read_curves

OTHER_TOKENIZERS = (
    "The two have different tokenizers: their bits per byte compare, their perplexities do not."
)

CHAT_AS_BASE = (
    "The base is a chat model itself and reads plain text here, which it was not trained on: how it chats is "
    "measured with it as `--model` on the same data, and `eval.compare` puts both runs side by side."
)


@dataclass(frozen=True)
class ReportArguments:
    results: str = field(metadata={"help": "Folder that `eval.run` wrote, or its results.json."})
    training_log: str | None = field(
        default=None,
        metadata={"help": "Folder of the model's TensorBoard logs, for its training curves in the page."},
    )
    seed: int = field(default=0, metadata={"help": "Seed of the replies that the page shows."})


def render(results: dict) -> str:
    """Markdown: per corpus tables of all figures, and what they were measured on."""
    return _render(results, corpus_tables)


def summary(results: dict) -> str:
    """Markdown: the same with the main figures alone."""
    return _render(results, _main_table)


def _render(results: dict, tables: Callable[[dict, str], list[str]]) -> str:
    lines = [" ".join(describe_model(role, results["models"][role]) for role in ("model", "base"))]
    lines += ["", *notes(results)]
    for source in results["figures"]:
        lines += ["", f"### {escaped(source)}", "", *tables(results, source)]
    return "\n".join(lines) + "\n"


def _main_table(results: dict, source: str) -> list[str]:
    table = build_table(results["figures"][source], FIRST_TABLE, MAIN_FIGURES)
    return [*table.to_markdown(), "", describe_amount(results, source)]


def corpus_tables(results: dict, source: str) -> list[str]:
    """One corpus's figures, in results of the current form, and how much of it they were measured on."""
    rows = results["figures"][source]
    lines = build_table(rows, FIRST_TABLE).to_markdown()
    for title, groups in FURTHER_TABLES.items():
        table = build_table(rows, groups)
        if table.rows:
            lines += ["", f"{title}:", "", *table.to_markdown()]
    return [*lines, "", describe_amount(results, source)]


def describe_model(role: str, model: dict) -> str:
    revision = f", revision {escaped(model['revision'])}" if model.get("revision") else ""
    return f"{role.capitalize()}: {code_span(model['name'])} ({model['parameters']:,} parameters{revision})."


def notes(results: dict) -> list[str]:
    """What a reader has to know before comparing figures."""
    found = [LEGEND]
    if has_intervals(results):
        found.append(INTERVALS)
    if not results["same_reply_ids"]:
        found.append(OTHER_TOKENIZERS)
    if results["models"]["base"].get("chats"):
        found.append(CHAT_AS_BASE)
    found += _unused_positions(results)
    if results["settings"].get("quick"):
        found.append("A quick run on a sample: its figures are rough.")
    return found


def _unused_positions(results: dict) -> list[str]:
    """Of the one with more positions than were used, where the results tell."""
    used = results["settings"].get("positions")
    own = {role: results["models"][role].get("positions") for role in ("model", "base")}
    return [
        f"The {role} has {positions:,} positions and was measured in {used:,}, as many as the other has: "
        "beside another its figures may differ."
        for role, positions in own.items()
        if used and positions and positions > used
    ]


def describe_amount(results: dict, source: str) -> str:
    """How much of a corpus was scored and generated."""
    groups = results["figures"][source].get("model", {})
    tokens = groups.get("likelihood", {}).get("tokens")
    generated = groups.get("sampled", {}).get("generated")
    sentence = f"{results['data'][source]['replies']:,} replies scored"
    sentence += f" ({tokens['value']:,.0f} tokens of the model's)" if tokens else ""
    return sentence + (f", {generated['value']:,.0f} generated." if generated else ".")


def check_output(path: Path, command: str, example: str, is_ours: Callable[[str], bool]) -> None:
    """
    Args:
        command: writes the text that is to be there.
        example: of a file's name.
        is_ours: whether the command has written such a text.

    Raises:
        UserError: it would take the place of something that somebody else wrote.
    """
    if path.is_dir():
        raise UserError(f"--output {path}: is a folder; give a file, such as {example}")
    if path.is_file() and not is_ours(path.read_text(encoding="utf-8", errors="replace")):
        raise UserError(
            f"--output {path}: is there and was not written by `{command}`; move it away, or give another "
            "file"
        )


def write_text(path: Path, text: str, flag: str) -> None:
    try:
        # A model may write half of a surrogate pair, which no file can hold.
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(
            f"{flag} {path}: cannot be written ({error.strerror}); make room, or give another place"
        ) from None


def write_reports(path: Path, training_log: str | None, seed: int, flag: str) -> str:
    """Writes `report.md` and `report.html` beside the results at `path`; returns the tables.

    Args:
        training_log: see `ReportArguments`.
        seed: of the replies that the page shows.
        flag: which named `path`, for errors.

    Raises:
        UserError: no results or training logs there, or the reports cannot be written.
    """
    from eval.html_report import render_html

    results = load_results(path, flag)
    curves = read_curves(training_log) if training_log else {}
    tables = render(results)
    page = render_html(results, load_replies(path, flag), curves, seed=seed)
    write_text(path.parent / "report.md", tables, flag)
    write_text(path.parent / "report.html", page, flag)
    return tables


def main() -> None:
    arguments = parse_arguments(ReportArguments, description=__doc__, positional="results")
    path = results_path(arguments.results)
    print(write_reports(path, arguments.training_log, arguments.seed, "--results"))
    print(f"saved to {path.parent / 'report.md'} and {path.parent / 'report.html'}")


if __name__ == "__main__":
    run(main)
