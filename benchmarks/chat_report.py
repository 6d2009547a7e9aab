"""The tables of `benchmarks.chat_speed`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BASELINE, OURS = "transformers fp32", "OpenVINO engine, int8"


@dataclass(frozen=True)
class Target:
    """A figure of a model's results, and what it has to reach."""

    name: str
    figure: Callable[[dict], float]
    limit: float
    unit: str = "x"
    is_least: bool = False

    def is_met(self, results: dict) -> bool:
        value = self.figure(results)
        return value >= self.limit if self.is_least else value <= self.limit

    def row(self, results: dict) -> str:
        bound = "at least" if self.is_least else "at most"
        value = (
            f"{self.figure(results):.2%}" if self.unit == "%" else f"{self.figure(results):.2f} {self.unit}"
        )
        limit = f"{self.limit:.0%}" if self.unit == "%" else f"{self.limit:g} {self.unit}"
        return f"| {self.name} | {value} | {bound} {limit} | {'yes' if self.is_met(results) else 'no'} |"


def _of_ours(name: str) -> Callable[[dict], float]:
    return lambda results: results["contenders"][OURS][name]


TARGETS = [
    Target("tokens/s of one user, against transformers in fp32", lambda r: r["speedup"], 4.5, is_least=True),
    Target("change of perplexity", lambda r: abs(r["perplexity_change"][OURS]), 0.01, "%"),
    Target("tokens/s of 8 users, against one", _of_ours("users_against_one"), 3.0, is_least=True),
    Target("first token at turn 15, against turn 2", lambda r: r["late_turn_against_early"], 1.5),
    Target("first token with 8 users, 95th percentile", _of_ours("users_first_token_seconds_p95"), 1.0, "s"),
    Target("a reply of 30 tokens", lambda r: r["short_reply_seconds"], 0.5, "s"),
    Target("start of the process to the first reply", lambda r: r["cold_start_seconds"], 6.0, "s"),
]


def render(results: dict) -> str:
    """Two Markdown tables a model: the contenders, and the targets."""
    parts = []
    for name, model in results["models"].items():
        rows = [_contender_row(contender, model) for contender in model["contenders"]]
        parts += [
            f"{name} ({model['what']}, {model['parameters'] / 1e6:.0f} million parameters)",
            "",
            "| | tokens/s, 1 user | tokens/s, 8 users | first token, 1 user | peak memory | perplexity |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "| target | measured | asked for | reached |",
            "|---|---|---|---|",
            *(target.row(model) for target in TARGETS),
            "",
        ]
    return "\n".join(parts)


def _contender_row(name: str, model: dict) -> str:
    figures = model["contenders"][name]
    users, change = figures.get("users_tokens_per_second"), model["perplexity_change"].get(name)
    cells = [
        name,
        f"{figures['tokens_per_second']:.0f}",
        "" if users is None else f"{users:.0f}",
        f"{figures['first_token_seconds']:.3f} s",
        f"{figures['peak_memory_bytes'] / 2**20:.0f} MiB",
        "" if change is None else f"{change:+.2%}",
    ]
    return f"| {' | '.join(cells)} |"
