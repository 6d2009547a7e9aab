"""The figures of each hour, day or week, in UTC, and of all of them together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Literal, TypeVar

from chat.analytics.events import Log, Rating, Reply

Every = Literal["hour", "day", "week"]
STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}

Timed = TypeVar("Timed", Reply, Rating)


@dataclass(frozen=True)
class Figures:
    """Of one period, or of all. None where there is nothing to measure.

    Attributes:
        conversations: of which a reply falls in the period.
        reply_tokens: median.
        message_words: median, by spaces.
        seconds: from the message to the whole reply, median.
        seconds_p95: the 95th percentile: the smallest time that at least 95 % of the replies took at most.
        fallback_share: of the replies.
    """

    replies: int
    conversations: int
    message_words: float | None
    reply_tokens: float | None
    seconds: float | None
    seconds_p95: float | None
    likes: int
    dislikes: int
    fallbacks: int
    fallback_share: float | None

    @classmethod
    def of(cls, replies: Sequence[Reply], ratings: Sequence[Rating]) -> Figures:
        seconds = sorted(each.seconds for each in replies)
        fallbacks = sum(each.is_fallback for each in replies)
        likes = sum(each.liked for each in ratings)
        return cls(
            replies=len(replies),
            conversations=len({each.conversation for each in replies}),
            message_words=_median(each.message_words for each in replies),
            reply_tokens=_median(each.tokens for each in replies),
            seconds=_median(seconds),
            seconds_p95=seconds[math.ceil(0.95 * len(seconds)) - 1] if seconds else None,
            likes=likes,
            dislikes=len(ratings) - likes,
            fallbacks=fallbacks,
            fallback_share=round(fallbacks / len(replies), 4) if replies else None,
        )


def figures_by_period(log: Log, every: Every) -> dict[datetime, Figures]:
    """By the beginning of each period in which something was logged, in order.

    A like counts when it was given, not when the reply was.
    """
    replies, ratings = _by_period(log.replies, every), _by_period(log.ratings, every)
    return {
        start: Figures.of(replies.get(start, []), ratings.get(start, []))
        for start in sorted({*replies, *ratings})
    }


def start_of(time: datetime, every: Every) -> datetime:
    """The beginning of the hour, the day or the week, a Monday."""
    day = time.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = {"hour": day.replace(hour=time.hour), "day": day, "week": day - timedelta(days=day.weekday())}
    return starts[every]


def written(start: datetime, every: Every) -> str:
    return start.strftime("%Y-%m-%d %H:00" if every == "hour" else "%Y-%m-%d")


def summary(log: Log, periods: dict[datetime, Figures], together: Figures, every: Every) -> dict[str, Any]:
    """All figures, for JSON."""
    return {
        "files": log.files,
        "skipped_lines": log.skipped,
        "all": asdict(together),
        "every": every,
        "periods": {start.isoformat(): asdict(each) for start, each in periods.items()},
    }


def table(periods: dict[datetime, Figures], together: Figures, every: Every) -> str:
    """Aligned columns, a row for each period and one for all."""
    heads = [
        every,
        "replies",
        "conversations",
        "words asked",
        "tokens",
        "seconds",
        "p95",
        "likes",
        "dislikes",
        "fallbacks",
    ]
    rows = [[written(start, every), *_cells(each)] for start, each in periods.items()]
    rows.append(["all", *_cells(together)])
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    aligned = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in (heads, *rows))
    return "\n".join(map("  ".join, aligned))


def _cells(figures: Figures) -> list[str]:
    def form(value: float | None, spec: str) -> str:
        return "-" if value is None else format(value, spec)

    share = "" if figures.fallback_share is None else f" ({figures.fallback_share:.0%})"
    return [
        str(figures.replies),
        str(figures.conversations),
        form(figures.message_words, "g"),
        form(figures.reply_tokens, "g"),
        form(figures.seconds, ".2f"),
        form(figures.seconds_p95, ".2f"),
        str(figures.likes),
        str(figures.dislikes),
        f"{figures.fallbacks}{share}",
    ]


def _by_period(events: Iterable[Timed], every: Every) -> dict[datetime, list[Timed]]:
    found: dict[datetime, list[Timed]] = {}
    for event in events:
        found.setdefault(start_of(event.time, every), []).append(event)
    return found


def _median(values: Iterable[float]) -> float | None:
    values = list(values)
    return median(values) if values else None
