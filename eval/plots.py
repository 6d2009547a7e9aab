"""Plots as SVG to stand inside an HTML page, in the page's own colours and font.

Text stays text, colours are the page's CSS variables, and the same figures give the same bytes.
"""

from __future__ import annotations

import math
import re
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Matplotlib takes no CSS variables: these colours, which nothing else uses, are replaced in its output.
STAND_INS = {
    "model": "#010201",
    "base": "#010202",
    "base_in_template": "#010203",
    "human": "#010204",
    "training": "#010205",
    "validation": "#010206",
    "ink": "#010207",
    "faint": "#010208",
}
INK = STAND_INS["ink"]
BAR_NAMES = {"model": "model", "base": "base", "base_in_template": "base, template", "human": "human"}
SMALL_WIDTH, WIDE_WIDTH = 3.4, 4.2
POINTS_PER_CHARACTER = 6
BINS = 24
DASHES = {"human": (0, (4, 2)), "base": (0, (1, 1.2)), "validation": (0, (4, 2))}


def bars(entries: dict[str, dict], form: str, title: str) -> str:
    """One figure as a bar per row, with its value at the end and whiskers where it has an interval.

    Args:
        entries: by row, finite `value` and perhaps `low` and `high`.
        form: how a value is written.
        title: what is read out for the picture.
    """
    left, right = 0.34, 0.99
    figure, axes = _canvas(SMALL_WIDTH, 0.15 + 0.3 * len(entries))
    figure.subplots_adjust(left=left, right=right, top=0.97, bottom=0.03)
    plot_points = SMALL_WIDTH * 72 * (right - left)
    starts, ends = [0.0], [0.0]
    for place, (row, entry) in enumerate(entries.items()):
        low, high = _draw_bar(axes, place, row, entry)
        written = form.format(entry["value"])
        gap = (4, 0)
        axes.annotate(written, (high, place), gap, textcoords="offset points", va="center", color=INK)
        # What is written behind a bar takes a fixed width, so the bar gets the rest.
        text_share = (gap[0] + POINTS_PER_CHARACTER * len(written)) / plot_points
        starts.append(low)
        ends.append(high / (1 - text_share))
    axes.set_xlim(min(starts), max(ends) or 1.0)
    axes.set_ylim(len(entries) - 0.45, -0.55)
    axes.set_yticks(range(len(entries)), [BAR_NAMES[row] for row in entries])
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.axvline(0, color=STAND_INS["faint"], linewidth=1)
    return _to_svg(figure, title)


def _draw_bar(axes: Axes, place: int, row: str, entry: dict) -> tuple[float, float]:
    """Draws a bar with its whiskers; returns where the two begin and end."""
    value = entry["value"]
    ends = [value, entry.get("low", value), entry.get("high", value)]
    low, high = (pick(end for end in ends if math.isfinite(end)) for pick in (min, max))
    axes.barh(place, value, height=0.62, color=STAND_INS[row])
    if low < high:
        whiskers = [[value - low], [high - value]]
        axes.errorbar(value, place, xerr=whiskers, color=INK, capsize=2.5, elinewidth=1)
    return min(low, 0.0), max(high, 0.0)


def length_histogram(lengths: dict[str, list[int]], title: str) -> str:
    """Shares of replies by their length in words; the last bin holds all that are longer."""
    pooled = sorted(length for each in lengths.values() for length in each)
    longest = max(pooled[min(int(len(pooled) * 0.98), len(pooled) - 1)], 1)
    width = math.ceil((longest + 1) / BINS)
    edges = [width * index for index in range(math.ceil((longest + 1) / width) + 1)]
    figure, axes = _canvas(WIDE_WIDTH, 2.3)
    figure.subplots_adjust(left=0.14, right=0.97, top=0.95, bottom=0.21)
    for row, found in lengths.items():
        shares = [0.0] * (len(edges) - 1)
        for length in found:
            shares[min(length // width, len(shares) - 1)] += 1 / len(found)
        axes.stairs(shares, edges, color=STAND_INS[row], fill=True, alpha=0.13)
        axes.stairs(shares, edges, color=STAND_INS[row], linewidth=1.6, linestyle=DASHES.get(row, "-"))
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.set_xlabel("words, by spaces" + (" (last step: or more)" if pooled[-1] >= edges[-1] else ""))
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(0)
    return _to_svg(figure, title)


def training_curves(curves: dict[str, list[tuple[int, float]]], title: str) -> str:
    """Loss by step."""
    figure, axes = _canvas(WIDE_WIDTH, 2.3)
    figure.subplots_adjust(left=0.15, right=0.94, top=0.95, bottom=0.2)
    for name, points in curves.items():
        steps, losses = zip(*points, strict=True)
        style = {"linestyle": DASHES.get(name, "-"), "marker": "o" if name == "validation" else ""}
        axes.plot(steps, losses, color=STAND_INS[name], linewidth=1.6, markersize=3, **style)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats per token")
    return _to_svg(figure, title)


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": STAND_INS["faint"],
        "axes.labelcolor": INK,
        "xtick.color": STAND_INS["faint"],
        "ytick.color": STAND_INS["faint"],
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "ytick.left": False,
    }
    with rc_context(style):
        figure = Figure(figsize=(width, height))
        return figure, figure.add_subplot()


def _to_svg(figure: Figure, title: str) -> str:
    from html import escape

    from matplotlib import rc_context

    for axes in figure.axes:
        axes.patch.set_visible(False)
    figure.patch.set_visible(False)
    buffer = StringIO()
    # Without a salt the ids are random; with the title as the salt no two plots of a page share one.
    with rc_context({"svg.hashsalt": title, "svg.fonttype": "none"}):
        empty = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=empty)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(
        r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", rf'<svg \1 role="img" aria-label="{escape(title)}">', svg
    )
    svg = re.sub(r"<g id=\"[^\"]*\"", "<g", svg)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font: \1 system-ui, sans-serif", svg)
    for name, colour in STAND_INS.items():
        svg = svg.replace(colour, f"var(--{name.replace('_', '-')})")
    return svg
