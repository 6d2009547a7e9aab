"""Draws what the feedback log tells: volume, length, latency, likes and fallbacks over time.

python -m chat.analytics                                     # the folder of FEEDBACK_FOLDER, else feedback/
python -m chat.analytics --folder feedback --every hour --output feedback.png
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field

from chat.analytics.events import read_log
from chat.analytics.figures import Every, Figures, figures_by_period, summary, table
from chat.analytics.plot import check_output, draw
from chat.cli import UserError, parse_arguments, run
from chat.feedback import DEFAULT_FOLDER, FOLDER_VARIABLE, is_off


@dataclass(frozen=True)
class AnalyticsArguments:
    folder: str | None = field(
        default=None, metadata={"help": "Folder of the log (default: FEEDBACK_FOLDER, else feedback)."}
    )
    output: str = field(
        default="feedback.png", metadata={"help": "File for the picture: .png, .svg or .pdf."}
    )
    every: Every = field(default="day", metadata={"help": "What is counted together, in UTC."})


def main() -> None:
    arguments = parse_arguments(AnalyticsArguments, description=__doc__)
    output = check_output(arguments.output)
    log = read_log(*_folder(arguments.folder))
    periods = figures_by_period(log, arguments.every)
    together = Figures.of(log.replies, log.ratings)
    draw(periods, arguments.every, output)
    if log.skipped:
        print(f"{log.skipped} lines are no events of the chat and were skipped", file=sys.stderr)
    print(table(periods, together, arguments.every))
    print(f"The picture is in {output}")
    print(json.dumps(summary(log, periods, together, arguments.every)))


def _folder(named: str | None) -> tuple[str, str]:
    """The folder, and what named it."""
    if named is not None:
        return named, "--folder"
    found = os.environ.get(FOLDER_VARIABLE, "").strip()
    if is_off(found):
        raise UserError(f"{FOLDER_VARIABLE} off: nothing is kept; name a folder by --folder")
    return (found, FOLDER_VARIABLE) if found else (DEFAULT_FOLDER, "--folder")


if __name__ == "__main__":
    run(main)
