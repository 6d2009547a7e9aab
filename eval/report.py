"""The results of `eval.run` as a table.

python -m eval.report eval/results/small-cpu/results.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from chat.cli import UserError, run

ROWS = (
    ("reply perplexity", "perplexity", "{:.2f}"),
    ("bits per byte", "bits_per_byte", "{:.3f}"),
    ("distinct-1", "distinct_1", "{:.3f}"),
    ("distinct-2", "distinct_2", "{:.3f}"),
    ("words per reply", "mean_words", "{:.1f}"),
)
COLUMNS = ("model", "base", "human")


def render(results: dict) -> str:
    """Markdown: per corpus a table of the figures, and what they were measured on."""
    model, base = results["models"]["model"], results["models"]["base"]
    lines = [
        f"Model: `{model['name']}` ({model['parameters']:,} parameters), prompted in its {model['format']}. "
        f"Base: `{base['name']}`, prompted in {base['format']}."
    ]
    if not results["same_reply_ids"]:
        lines.append(
            "The two have different tokenizers: their bits per byte compare, their perplexities do not."
        )
    for source, figures in results["figures"].items():
        lines += ["", f"### {source}", "", "| | model | base | human |", "|---|---|---|---|"]
        for label, key, form in ROWS:
            cells = (
                form.format(figures[column][key]) if key in figures[column] else "" for column in COLUMNS
            )
            lines.append(f"| {label} | {' | '.join(cells)} |")
        own = figures["model"]
        lines += [
            "",
            f"{own['replies']:,} replies scored ({own['tokens']:,} tokens of the model's), "
            f"{own['generated']:,} generated.",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        raise UserError("give the path of one results.json: python -m eval.report FILE")
    path = Path(sys.argv[1])
    try:
        print(render(json.loads(path.read_text(encoding="utf-8"))))
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; give the results.json that `python -m eval.run` wrote"
        ) from None
    except (ValueError, KeyError) as error:
        raise UserError(f"{path}: not results of `python -m eval.run` ({error!r})") from None


if __name__ == "__main__":
    run(main)
