"""The figures over time as one picture: volume, length, latency, likes and fallbacks."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from chat.analytics.figures import STEPS, Every, Figures
from chat.cli import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
INK, FAINT = "#333333", "#999999"
FIRST, SECOND = "#1f77b4", "#ff7f0e"
LIKED, DISLIKED, FALLEN = "#2ca02c", "#d62728", "#9467bd"
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.labelcolor": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}

Periods = dict[datetime, Figures]


def check_output(output: str) -> Path:
    """The file that a plot can be written to.

    Raises:
        UserError: the name has no format that is drawn.
    """
    path = Path(output)
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"--output {output}: give a file name that ends in {', '.join(FORMATS)}")
    return path


def draw(periods: Periods, every: Every, output: Path) -> None:
    """Draws the five figures, one above the other over the same time, and writes the picture.

    Raises:
        UserError: it cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(9, 11), layout="constrained")
        volume, length, latency, likes, fallbacks = figure.subplots(5, sharex=True)
        _bars(volume, periods, every, {"replies": (FIRST, lambda each: each.replies)})
        _lines(volume, periods, every, {"conversations": (SECOND, lambda each: each.conversations)})
        _title(volume, f"Replies and conversations a {every}")
        words, tokens = (lambda each: each.message_words), (lambda each: each.reply_tokens)
        _lines(length, periods, every, {"tokens replied": (FIRST, tokens), "words asked": (SECOND, words)})
        _title(length, "Length, median")
        median, slowest = (lambda each: each.seconds), (lambda each: each.seconds_p95)
        _lines(latency, periods, every, {"median": (FIRST, median), "95th percentile": (SECOND, slowest)})
        _title(latency, "Seconds to the whole reply")
        given = {
            "likes": (LIKED, lambda each: each.likes),
            "dislikes": (DISLIKED, lambda each: -each.dislikes),
        }
        _bars(likes, periods, every, given)
        likes.yaxis.set_major_formatter(lambda count, _: f"{abs(count):g}")
        _title(likes, f"Likes and dislikes a {every}")
        _bars(fallbacks, periods, every, {"": (FALLEN, lambda each: 100 * (each.fallback_share or 0))})
        fallbacks.yaxis.set_major_formatter(lambda share, _: f"{share:g} %")
        _title(fallbacks, "Fallbacks: replies for which the model had no usable one")
        for axes in (volume, likes):
            axes.yaxis.get_major_locator().set_params(integer=True)
        fallbacks.set_xlabel("time, UTC")
        # Those of the others are hidden.
        for label in fallbacks.get_xticklabels():
            label.set(rotation=30, ha="right")
        _write(figure, output)


Series = dict[str, tuple[str, Callable[[Figures], float | None]]]


def _bars(axes: Axes, periods: Periods, every: Every, series: Series) -> None:
    for name, (colour, value) in series.items():
        heights = [value(each) for each in periods.values()]
        axes.bar([*periods], heights, STEPS[every] * 0.8, color=colour, label=name, align="edge")


def _lines(axes: Axes, periods: Periods, every: Every, series: Series) -> None:
    """A line for each, which breaks where a period has nothing; in the middle of each period a dot."""
    step = STEPS[every]
    for name, (colour, value) in series.items():
        places, values = [], []
        for start, each in periods.items():
            if places and start - places[-1] > step:
                places.append(places[-1] + step)
                values.append(math.nan)
            places.append(start + step * 0.4)
            found = value(each)
            values.append(math.nan if found is None else found)
        axes.plot(places, values, color=colour, label=name, marker="o", markersize=3, linewidth=1.4)


def _title(axes: Axes, title: str) -> None:
    axes.set_title(title)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    # Around zeros alone the library puts a range of its own, half of it below 0.
    low, high = axes.get_ylim() if axes.dataLim.intervaly.any() else (0, 1)
    axes.set_ylim(min(low, 0), max(high, 1e-9))


def _write(figure: Figure, output: Path) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(output, dpi=150)
    except OSError as error:
        raise UserError(
            f"--output {output}: cannot be written ({error.strerror}); make room, or give another place"
        ) from None
