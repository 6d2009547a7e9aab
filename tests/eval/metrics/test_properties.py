"""What holds for every metric: no crash, no NaN, the stated range; the order of replies does not matter."""

import ast
import math
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval.figures import metric
from eval.publish_metrics import metric_names
from tests.conftest import ROOT

METRICS = metric_names()
EDGES = [
    [],
    [""],
    ["x"],
    ["...", "?!"],
    ["word " * 1024],
    [
        "\u4f60\u597d\u5417",
        "\u041f\u0440\u0438\u0432\u0435\u0442, \u043a\u0430\u043a \u0434\u0435\u043b\u0430?",
    ],
    ["\U0001f600\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467 ok"],
    ["same", "same", ""],
    ["\x00\ufffd\n\t", "<|assistant|>"],
]
RANGES = {"perplexity": (1, math.inf), "bits_per_byte": (0, math.inf), "bleu": (0, 100.001)}
# Of no publication.
OURS = ("conversation_loops", "latency", "persona_use", "reply_shape")
UNBOUNDED = ("words", "tokens", "mean_words", "entropy_", "with_persona", "candidates", "time_", "tokens_per")


def given_to(name: str, replies: list[str]) -> dict:
    """Arguments for the metric that go with these replies."""
    numbers = [float(len(reply)) for reply in replies]
    return {
        "reply_perplexity": {"predictions": [[0.5] * len(reply) for reply in replies], "references": replies},
        "hits_at_1": {
            "predictions": [[-number, -3.0, -number] for number in numbers],
            "references": [index % 3 for index, _ in enumerate(replies)],
        },
        "latency": {"predictions": numbers, "references": [[0.1] * (len(reply) % 4) for reply in replies]},
        "repetition": {
            "predictions": replies,
            "earlier": [replies[:index] for index, _ in enumerate(replies)],
            "prompts": [reply[::-1] for reply in replies],
        },
        "reply_shape": {"predictions": replies, "fallback": [not reply for reply in replies]},
        "persona_use": {"predictions": replies, "references": [replies[:2] for _ in replies]},
        "conversation_loops": {"predictions": [[reply, *replies] for reply in replies]},
        **{
            name: {"predictions": replies, "references": [reply[::-1] for reply in replies]}
            for name in ("token_f1", "bleu", "rouge_l")
        },
    }.get(name, {"predictions": replies})


def check(figures: dict) -> None:
    assert figures
    for key, value in figures.items():
        assert math.isfinite(value), key
        low, high = RANGES.get(key, (0, math.inf if key.startswith((*UNBOUNDED, "ead_")) else 1))
        assert low <= value <= high, (key, value)


def test_every_metric_is_known_here():
    assert len(METRICS) == 13


@pytest.mark.parametrize("replies", EDGES, ids=range(len(EDGES)))
@pytest.mark.parametrize("name", METRICS)
def test_edges(name, replies):
    check(metric(name).compute(**given_to(name, replies)))


@pytest.mark.parametrize("name", METRICS)
def test_without_replies_every_figure_is_zero_but_the_perplexity_of_nothing(name):
    figures = metric(name).compute(**given_to(name, []))
    assert figures == {key: 1 if key == "perplexity" else 0 for key in figures}


@pytest.mark.parametrize("name", METRICS)
def test_it_says_its_source_its_range_and_what_each_figure_is(name):
    found = metric(name)
    assert re.search(r"\b[Rr]anges?\b|from 0 |seconds", " ".join(found.description.split()))
    assert ("year={" in found.citation) != (name in OURS)
    assert found.inputs_description.strip().startswith("Args:")
    told = found.description + found.inputs_description
    for key in found.compute(**given_to(name, ["I like tea."])):
        assert re.search(re.sub(r"\d", r"\\d", rf"\b{key}\b"), told), key


WORDS = st.lists(st.sampled_from(["I", "like", "tea", "cats", ".", "?", "no"]), max_size=8).map(" ".join)


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(replies=st.lists(WORDS, max_size=6), data=st.data())
def test_the_order_of_replies_does_not_change_a_figure(name, replies, data):
    arguments = given_to(name, replies)
    order = data.draw(st.permutations(range(len(replies))))
    shuffled = {key: [values[index] for index in order] for key, values in arguments.items()}
    one, other = metric(name).compute(**arguments), metric(name).compute(**shuffled)
    check(one)
    assert one == pytest.approx(other, rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_it_stands_alone_as_on_the_hub(name):
    """Pushed to the Hub, a metric is this one file: it may import published packages only."""
    tree = ast.parse((ROOT / "eval" / "metrics" / name / f"{name}.py").read_text(encoding="utf-8"))
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module or "."
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    ours = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    assert {"chat", "eval"} <= ours and "evaluate" in imported
    assert not {module.partition(".")[0] for module in imported} & {*ours, ""}
