"""Scores of candidate replies: which of them a model would have expected."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

from chat.best_of import reply_log_probs
from chat.dialogue import ASSISTANT, Dialogue
from chat.template import encode_texts
from eval.formats import Format, prompt_ids
from eval.processes import in_batches, this_process

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from chat.shared_context import Row

# Of what is behind the end of a row, which nothing sees.
FILLER_ID = 0
logger = logging.getLogger(__name__)


def rankable(views: list[Dialogue]) -> list[tuple[Dialogue, int]]:
    """The replies that have distractors: (dialogue, turn index)."""
    return [(view, index) for view in views for index, turn in enumerate(view.turns) if turn.distractors]


def score_candidates(
    model: PreTrainedModel,
    format_: Format,
    replies: list[tuple[Dialogue, int]],
    max_prompt_tokens: int,
    max_candidate_tokens: int,
    description: str = "ranking",
) -> list[list[float]]:
    """Per reply, the mean log-likelihood in nats per token of each candidate, the true reply first.

    A context and all its candidates are one sequence, in which a candidate attends to the context and to
    itself, at the positions that follow the context: the context is computed once for all of them. With a
    model that does not read them so as it reads each alone, each candidate has a row of its own.

    Args:
        max_prompt_tokens: a longer context loses its oldest turns.
        max_candidate_tokens: a longer candidate loses its end.
    """
    from chat.shared_context import reads_shared_contexts

    if not replies:
        return []
    eos_token_id = format_.tokenizer.eos_token_id
    end = format_.frame(ASSISTANT)[1] if eos_token_id is None else [eos_token_id]
    rows = []
    for view, index in replies:
        texts = [view.turns[index].text, *view.turns[index].distractors]
        candidates = [ids[:max_candidate_tokens] or end for ids in encode_texts(format_.tokenizer, texts)]
        rows.append((prompt_ids(view, index, format_, max_prompt_tokens), candidates))
    if reads_shared_contexts(model, rows, FILLER_ID):
        return _together(model, rows, description)
    _tell_slow(model.config.model_type)
    return _one_by_one(model, rows, description)


@cache
def _tell_slow(model_type: str) -> None:
    if this_process().is_main_process:
        logger.info(
            "a %s does not read candidates that share a context as it reads each alone: ranking them one by "
            "one, which takes longer",
            model_type,
        )


def _together(model: PreTrainedModel, rows: list[Row], description: str) -> list[list[float]]:
    import torch

    from chat.shared_context import lay_out, length_of, token_log_probs

    def score(batch: list[int]) -> list[list[float]]:
        laid_out = lay_out([rows[index] for index in batch], FILLER_ID)
        with torch.inference_mode():
            found = token_log_probs(model, {name: each.to(model.device) for name, each in laid_out.items()})
        lengths = torch.bincount(laid_out["replies"]).tolist()
        means = iter([of_reply.mean().item() for of_reply in found.cpu().split(lengths)])
        return [[next(means) for _ in rows[index][1]] for index in batch]

    return in_batches(list(map(length_of, rows)), score, description)


def _one_by_one(model: PreTrainedModel, rows: list[Row], description: str) -> list[list[float]]:
    pairs = [(prompt, candidate) for prompt, candidates in rows for candidate in candidates]

    def score(batch: list[int]) -> list[float]:
        prompts, candidates = zip(*(pairs[index] for index in batch), strict=True)
        found = reply_log_probs(model, list(prompts), list(candidates), FILLER_ID)
        return [log_prob / len(ids) for log_prob, ids in zip(found, candidates, strict=True)]

    means = iter(in_batches([len(prompt) + len(ids) for prompt, ids in pairs], score, description))
    return [[next(means) for _ in candidates] for _, candidates in rows]
