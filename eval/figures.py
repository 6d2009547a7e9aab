"""From losses, scores and replies to figures, all by the metrics of `eval/metrics`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from chat.best_of import preference
from chat.dialogue import ASSISTANT, Dialogue
from chat.reply_checks import ReplyChecks

if TYPE_CHECKING:
    from evaluate import Metric

METRICS = Path(__file__).parent / "metrics"
RESAMPLES = 1000
CONFIDENCE = 0.95
Figures = dict[str, dict[str, float]]


@cache
def metric(name: str) -> Metric:
    import evaluate

    return evaluate.load(str(METRICS / name))


def as_figures(computed: dict[str, Any]) -> Figures:
    """What a metric computes, as the results hold it."""
    return {name: {"value": float(value)} for name, value in computed.items()}


def likelihood(losses: list[list[list[float]]], texts: list[list[str]], dialogues: list[int]) -> Figures:
    """Perplexity and bits per byte, with intervals over dialogues.

    Args:
        losses: per view of a dialogue and reply, the nats of each token.
        texts: per view, the replies' texts.
        dialogues: per view, the number of its dialogue.
    """
    flat_losses = [reply for view in losses for reply in view]
    flat_texts = [text for view in texts for text in view]
    figures = as_figures(metric("reply_perplexity").compute(predictions=flat_losses, references=flat_texts))
    nats = [math.fsum(loss for reply in view for loss in reply) for view in losses]
    tokens = [sum(map(len, view)) for view in losses]
    text_bytes = [sum(len(text.encode("utf-8")) for text in view) for view in texts]
    per_token, per_byte = (_over_dialogues(nats, of, dialogues) for of in (tokens, text_bytes))
    for end in [name for name in per_token if name != "value"]:
        with np.errstate(over="ignore"):
            figures["perplexity"][end] = float(np.exp(per_token[end]))
        figures["bits_per_byte"][end] = per_byte[end] / math.log(2)
    return {**figures, "replies": {"value": float(len(flat_losses))}}


def ranking(
    with_persona: list[list[float]],
    without: list[list[float]] | None,
    generic: list[list[float]],
    dialogues: list[int],
) -> Figures:
    """hits@1 with the persona and without it: by likelihood, and as best of N ranks drafts of one length.

    Args:
        with_persona, without: per reply, the candidates' mean log-likelihoods, the true one's first; `None`
            where there is no persona to leave out, so that nothing is said of its gain.
        generic: the same where nothing was said before.
        dialogues: per reply, the number of its dialogue, for the intervals.
    """
    found = metric("hits_at_1").compute(predictions=with_persona, references=[0] * len(with_persona))
    return (
        as_figures(found)
        | _hits("", with_persona, without, dialogues)
        | _hits(
            "_best_of_n",
            _ungeneric(with_persona, generic),
            without and _ungeneric(without, generic),
            dialogues,
        )
    )


def _ungeneric(scores: list[list[float]], generic: list[list[float]]) -> list[list[float]]:
    return [
        [preference(score, anywhere) for score, anywhere in zip(of_reply, of_none, strict=True)]
        for of_reply, of_none in zip(scores, generic, strict=True)
    ]


def _hits(
    suffix: str, with_persona: list[list[float]], without: list[list[float]] | None, dialogues: list[int]
) -> Figures:
    hits = [float(_hit(scores)) for scores in with_persona]
    columns = {"hits_at_1": hits}
    if without is not None:
        hits_without = [float(_hit(scores)) for scores in without]
        columns["hits_at_1_without_persona"] = hits_without
        columns["persona_gain"] = [one - other for one, other in zip(hits, hits_without, strict=True)]
    ones = [1.0] * len(dialogues)
    return {f"{name}{suffix}": _over_dialogues(values, ones, dialogues) for name, values in columns.items()}


def _hit(scores: list[float]) -> bool:
    return all(scores[0] > other for other in scores[1:])


def _over_dialogues(
    numerators: Sequence[float], denominators: Sequence[float], dialogues: list[int]
) -> dict[str, float]:
    """`ratio_of_sums` of what belongs to one dialogue (numbered from 0, without gaps) taken together."""
    return ratio_of_sums(np.bincount(dialogues, numerators), np.bincount(dialogues, denominators))


def ratio_of_sums(numerators: ArrayLike, denominators: ArrayLike) -> dict[str, float]:
    """sum(numerators) / sum(denominators) with its 95 % interval by resampling dialogues (Efron, 1979).

    Args:
        numerators, denominators: per dialogue, of the same length.

    Returns:
        `value`, `low`, `high`; 0 where the denominators are all 0. Of fewer than two dialogues the value
        alone: one does not tell how much others differ from it.
    """
    numerators, denominators = np.asarray(numerators, float), np.asarray(denominators, float)
    value = numerators.sum() / denominators.sum() if denominators.sum() else 0.0
    if len(numerators) < 2:
        return {"value": float(value)}
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(numerators), len(numerators))
        total = denominators[drawn].sum()
        ratios.append(numerators[drawn].sum() / total if total else 0.0)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return {"value": float(value), "low": float(min(low, value)), "high": float(max(high, value))}


@dataclass(frozen=True)
class Context:
    """What stands before a reply, for the metrics of the reply's text.

    Attributes:
        checks: what the chat would check a reply for here.
    """

    persona: tuple[str, ...]
    earlier: list[str]
    checks: ReplyChecks
    prompt: str
    human: str

    @classmethod
    def of(cls, view: Dialogue, index: int) -> Context:
        before = view.turns[:index]
        return cls(
            persona=view.persona,
            earlier=[turn.text for turn in before if turn.role == ASSISTANT],
            checks=ReplyChecks.of(replace(view, turns=before).messages()),
            prompt=" ".join([*view.persona, *(turn.text for turn in before)]),
            human=view.turns[index].text,
        )


def text_figures(replies: list[str], contexts: list[Context], vocab_size: int, are_human: bool) -> Figures:
    """All figures of a set of replies.

    Args:
        vocab_size: the largest of the models that are compared, for expectation-adjusted distinct.
        are_human: then they are not compared with the human replies, which they are.
    """
    earlier, prompts = [each.earlier for each in contexts], [each.prompt for each in contexts]
    retried = [not context.checks.is_usable(reply) for reply, context in zip(replies, contexts, strict=True)]
    figures = {
        **metric("distinct_n").compute(predictions=replies),
        **metric("expectation_adjusted_distinct").compute(predictions=replies, vocab_size=vocab_size),
        **metric("entropy_n").compute(predictions=replies),
        **metric("repetition").compute(predictions=replies, earlier=earlier, prompts=prompts),
        **metric("reply_shape").compute(predictions=replies, fallback=retried),
        "generated": len(replies),
    }
    if any(each.persona for each in contexts):
        personas = [list(each.persona) for each in contexts]
        figures |= metric("persona_use").compute(predictions=replies, references=personas)
    if not are_human:
        humans = [each.human for each in contexts]
        for name in ("token_f1", "bleu", "rouge_l"):
            figures |= metric(name).compute(predictions=replies, references=humans)
    return as_figures(figures)


def latency(to_first: list[float], between: list[list[float]]) -> Figures:
    return as_figures(metric("latency").compute(predictions=to_first, references=between))
