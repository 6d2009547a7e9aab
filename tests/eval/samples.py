"""Made-up results of `eval.run`, with all that a report may meet."""

from __future__ import annotations

import json
import random
from pathlib import Path

from eval.results_file import DECODINGS
from eval.table import GROUPS

HOSTILE = '<script>alert("x")</script> <b>bold</b> </p></main> & "quoted" $x_1$ {{ 7 * 7 }} | `code`'
FEW_FIGURES = {
    "likelihood": {
        "perplexity": {"value": 106.5766},
        "bits_per_byte": {"value": 1.8876},
        "tokens": {"value": 1200},
        "replies": {"value": 90},
    },
    "sampled": {
        "distinct_1": {"value": 0.1144},
        "distinct_2": {"value": 0.3784},
        "generated": {"value": 30},
        "mean_words": {"value": 6.35},
    },
}
SPECIAL_VALUES = {"perplexity": 23.4, "bits_per_byte": 1.21, "mean_words": 11.2, "entropy_4": 7.9}
RANKED = ("hits_at_1", "hits_at_1_without_persona", "persona_gain")
WITH_INTERVALS = ("perplexity", "bits_per_byte", *RANKED, *(f"{name}_best_of_n" for name in RANKED))


def sample_results(scale: float = 1.0) -> dict:
    """All rows and groups on one corpus, only the likelihood on another one."""
    likelihood = {"likelihood": _group("likelihood", scale)}
    ranked = {**likelihood, "ranking": _group("ranking", scale)}
    generating = {
        **ranked,
        **{name: _group(name, scale) for name in (*DECODINGS, "latency")},
    }
    return {
        "format_version": 3,
        "models": {
            "model": {"name": "final_model", "revision": None, "parameters": 124_439_808},
            "base": {"name": "openai-community/gpt2", "revision": "607a30d", "parameters": 124_439_808},
        },
        "same_reply_ids": True,
        "data": {
            "personachat": {"views": 1000, "replies": 7801, "sha256": "ab" * 32},
            "cornell": {"views": 500, "replies": 900, "sha256": "cd" * 32},
        },
        "settings": {"seed": 0, "decoding": {"temperature": 0.7, "top_p": 0.9}, "quick": False},
        "libraries": {"torch": "2.13.0+cpu"},
        "device": "cpu",
        "figures": {
            "personachat": {
                "model": generating,
                "base": generating,
                "base_in_template": ranked,
                "human": {"sampled": {"distinct_1": {"value": 0.237}, "mean_words": {"value": 12.3}}},
            },
            "cornell": {"model": likelihood, "base": likelihood},
        },
    }


def _group(name: str, scale: float) -> dict:
    figures = {}
    for number, each in enumerate(GROUPS[name]):
        value = scale * SPECIAL_VALUES.get(each.key, 0.2 + 0.03 * number)
        ends = {"low": 0.96 * value, "high": 1.05 * value} if each.key in WITH_INTERVALS else {}
        figures[each.key] = {"value": value, **ends}
    if name == "likelihood":
        figures |= {"tokens": {"value": 105512.0}, "replies": {"value": 7801.0}}
    if name in DECODINGS:
        figures["generated"] = {"value": 300.0}
    return figures


def sparse_results() -> dict:
    """One corpus, few figures, none with an interval, and no more of the rest than must be there."""
    human = {"sampled": FEW_FIGURES["sampled"]}
    base = {**FEW_FIGURES, "likelihood": {**FEW_FIGURES["likelihood"], "perplexity": {"value": 8372.13}}}
    return {
        "format_version": 3,
        "models": {
            "model": {"name": "final_model", "parameters": 7_050_240},
            "base": {"name": "gpt2-7m.json", "parameters": 7_050_240},
        },
        "same_reply_ids": True,
        "data": {"cornell": {"views": 70, "replies": 90, "sha256": "ef" * 32}},
        "settings": {"decoding": {"top_p": 0.9}, "seed": 0},
        "libraries": {"torch": "2.13.0+cpu"},
        "figures": {"cornell": {"human": human, "model": FEW_FIGURES, "base": base}},
    }


def sample_replies(number: int = 40) -> list[dict]:
    """Records of `replies.jsonl`; the first ones hold markup, an overlong word, nothing, half a character."""
    words = ["I", "like", "to", "walk", "my", "dog", "in", "the", "park", "and", "you", "do", "that", "too"]
    draw = random.Random(0)
    texts = iter([HOSTILE, "a" * 300, "", "\ud800 half", "first line\n\nthird line"])

    def reply(longest: int) -> str:
        return next(texts, None) or " ".join(draw.choices(words, k=draw.randint(1, longest)))

    turns = [{"role": role, "content": reply(12)} for role in ("user", "assistant") * 3]
    return [
        {
            "source": "personachat",
            "context": [
                {"role": "system", "content": "I have <i>two</i> cats.\nI am a nurse."},
                *turns,
                {"role": "user", "content": HOSTILE},
            ],
            "human": HOSTILE if index == 0 else reply(20),
            "model": {
                "sampled": HOSTILE if index == 0 else reply(10),
                "greedy": "" if index < 5 else HOSTILE,
            },
            "base": {"sampled": "b" * 300 if index % 7 == 0 else reply(60), "greedy": reply(5)},
        }
        for index in range(number)
    ]


def write_run(folder: Path, results: dict, replies: list[dict] | None = None) -> Path:
    """A run's folder as `eval.run` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    if replies is not None:
        lines = "".join(json.dumps(reply) + "\n" for reply in replies)
        (folder / "replies.jsonl").write_text(lines, encoding="utf-8")
    return folder
