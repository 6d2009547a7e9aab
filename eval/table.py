"""The figures of `eval.run` as a table: their order and names, how they are written, which way is better."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

LOWER, HIGHER = "↓", "↑"
COLUMNS = {"model": "model", "base": "base", "base_in_template": "base in our template", "human": "human"}
ARROWS = "↑ higher is better, ↓ lower is better"
LEGEND = f"{ARROWS}; for a figure without an arrow, closer to the human replies' is better."
INTERVALS = "In brackets: the 95 % interval by bootstrap over dialogues."


@dataclass(frozen=True)
class Figure:
    key: str
    name: str
    form: str = "{:.3f}"
    better: str = ""

    @property
    def label(self) -> str:
        return f"{self.name} {self.better}".strip()

    def write(self, entry: dict | None) -> str:
        """A value and its interval, if it has one; nothing where there is no entry."""
        if not entry:
            return ""
        value = self.form.format(entry["value"])
        if "low" not in entry or "high" not in entry:
            return value
        return f"{value} ({self.form.format(entry['low'])} to {self.form.format(entry['high'])})"


LIKELIHOOD = (
    Figure("perplexity", "reply perplexity", "{:.2f}", LOWER),
    Figure("bits_per_byte", "bits per byte", better=LOWER),
)
RANKING = (
    Figure("hits_at_1", "hits@1", better=HIGHER),
    Figure("hits_at_1_without_persona", "hits@1 without the persona", better=HIGHER),
    Figure("persona_gain", "gain by the persona", better=HIGHER),
    Figure("hits_at_1_best_of_n", "hits@1 ranked as best of N", better=HIGHER),
    Figure("hits_at_1_without_persona_best_of_n", "hits@1 ranked so, without the persona", better=HIGHER),
    Figure("persona_gain_best_of_n", "gain by the persona, ranked so", better=HIGHER),
    Figure("mean_reciprocal_rank", "mean reciprocal rank", better=HIGHER),
)
TEXT = (
    Figure("token_f1", "token F1", better=HIGHER),
    Figure("bleu", "BLEU", better=HIGHER),
    Figure("rouge_l", "ROUGE-L", better=HIGHER),
    Figure("distinct_1", "distinct-1"),
    Figure("distinct_2", "distinct-2"),
    Figure("distinct_3", "distinct-3"),
    Figure("distinct_1_over_ngrams", "distinct-1 over n-grams"),
    Figure("distinct_2_over_ngrams", "distinct-2 over n-grams"),
    Figure("distinct_3_over_ngrams", "distinct-3 over n-grams"),
    Figure("ead_1", "expectation-adjusted distinct-1"),
    Figure("entropy_4", "entropy of 4-grams", "{:.2f}"),
    Figure("self_repetition", "repetition within a reply", better=LOWER),
    Figure("earlier_repetition", "repetition of its own earlier turns", better=LOWER),
    Figure("copied_share", "copied from the prompt", better=LOWER),
    Figure("repeated_replies", "replies said before in the same conversation", better=LOWER),
    Figure("persona_use", "use of the persona"),
    Figure("persona_overlap", "overlap with the persona"),
    Figure("mean_words", "words per reply", "{:.1f}"),
    Figure("questions", "replies with a question"),
    Figure("empty", "empty replies", better=LOWER),
    Figure("fallback", "replies that the chat would redraw", better=LOWER),
)
LATENCY = (
    Figure("time_to_first_token_p50", "seconds to the first token, median", better=LOWER),
    Figure("time_to_first_token_p95", "seconds to the first token, 95th percentile", better=LOWER),
    Figure("tokens_per_second_p50", "tokens per second, median", "{:.1f}", HIGHER),
    Figure("tokens_per_second_p95", "tokens per second that 95 % of replies reach", "{:.1f}", HIGHER),
)
GROUPS = {
    "likelihood": LIKELIHOOD,
    "ranking": RANKING,
    "sampled": TEXT,
    "latency": LATENCY,
    "unranked": TEXT,
    "greedy": TEXT,
}
MAIN_FIGURES = (
    ("likelihood", "perplexity"),
    ("likelihood", "bits_per_byte"),
    ("ranking", "hits_at_1"),
    ("ranking", "persona_gain"),
    ("ranking", "hits_at_1_best_of_n"),
    ("ranking", "persona_gain_best_of_n"),
    ("sampled", "token_f1"),
    ("sampled", "distinct_1"),
    ("sampled", "distinct_2"),
    ("sampled", "self_repetition"),
    ("sampled", "persona_use"),
    ("sampled", "mean_words"),
)
FIRST_TABLE = ("likelihood", "ranking", "sampled", "latency")
# By title; the replies of the first table are drawn as the chat draws them.
FURTHER_TABLES = {"One draft each, unranked": ("unranked",), "Greedy replies": ("greedy",)}


@dataclass(frozen=True)
class Table:
    """Cells as text: a label and one cell per column for every figure that any column has."""

    columns: list[str]
    rows: list[tuple[str, list[str]]]

    def to_markdown(self) -> list[str]:
        lines = [f"| | {' | '.join(self.columns)} |", "|" + "---|" * (len(self.columns) + 1)]
        return lines + [f"| {label} | {' | '.join(cells)} |" for label, cells in self.rows]


def figure(group: str, key: str) -> Figure:
    return next(each for each in GROUPS[group] if each.key == key)


def entry_of(rows: dict, row: str, group: str, key: str) -> dict | None:
    """A row's figure with its interval, if the row has it."""
    return rows.get(row, {}).get(group, {}).get(key)


def build_table(
    rows: dict, groups: tuple[str, ...], figures: Collection[tuple[str, str]] | None = None
) -> Table:
    """One corpus's figures of some groups, or those of them that are in `figures`, as (group, key).

    Rows and columns that would stay empty are left out.
    """
    wanted = [
        (group, each)
        for group in groups
        for each in GROUPS[group]
        if figures is None or (group, each.key) in figures
    ]
    present = [row for row in COLUMNS if any(entry_of(rows, row, group, each.key) for group, each in wanted)]
    lines = []
    for group, each in wanted:
        entries = [entry_of(rows, row, group, each.key) for row in present]
        if any(entries):
            lines.append((each.label, [each.write(entry) for entry in entries]))
    return Table([COLUMNS[row] for row in present], lines)


def has_intervals(results: dict) -> bool:
    return any(
        "low" in entry
        for rows in results["figures"].values()
        for groups in rows.values()
        for figures in groups.values()
        for entry in figures.values()
    )
