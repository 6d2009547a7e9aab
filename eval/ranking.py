"""Scores of candidate replies: which of them a model would have expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.dialogue import Dialogue
from chat.template import encode_texts
from eval.formats import Format, prompt_ids
from eval.processes import spread

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

MAX_BATCH_TOKENS = 4096


def rankable(views: list[Dialogue]) -> list[tuple[Dialogue, int]]:
    """The replies that have distractors: (dialogue, turn index)."""
    return [(view, index) for view in views for index, turn in enumerate(view.turns) if turn.distractors]


def score_candidates(
    model: PreTrainedModel,
    format_: Format,
    replies: list[tuple[Dialogue, int]],
    max_prompt_tokens: int,
    description: str = "ranking",
) -> list[list[float]]:
    """Per reply, the mean log-likelihood in nats per token of each candidate, the true reply first.

    A context and all its candidates are one sequence, in which a candidate attends to the context and to
    itself, at the positions that follow the context: the context is computed once for all of them.
    """
    room = model.config.max_position_embeddings - max_prompt_tokens
    items = []
    for view, index in replies:
        texts = [view.turns[index].text, *view.turns[index].distractors]
        prompt = prompt_ids(view, index, format_, max_prompt_tokens)
        candidates = [
            ids[:room] or [format_.tokenizer.eos_token_id] for ids in encode_texts(format_.tokenizer, texts)
        ]
        items.append((prompt, candidates))
    order = sorted(range(len(items)), key=lambda item: -_length(items[item]))
    scores: list[list[float]] = [[] for _ in items]
    for batch, found in spread(
        _batches(items, order), lambda batch: _score(model, [items[i] for i in batch]), description
    ):
        for item, values in zip(batch, found, strict=True):
            scores[item] = values
    return scores


def _length(item: tuple[list[int], list[list[int]]]) -> int:
    prompt, candidates = item
    return len(prompt) + sum(map(len, candidates))


def _batches(items: list, order: list[int]) -> list[list[int]]:
    batches: list[list[int]] = []
    for index in order:
        if batches and _length(items[batches[-1][0]]) * (len(batches[-1]) + 1) <= MAX_BATCH_TOKENS:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _score(model: PreTrainedModel, items: list) -> list[list[float]]:
    import torch

    width = max(map(_length, items))
    ids = torch.zeros(len(items), width, dtype=torch.long)
    positions = torch.zeros_like(ids)
    allowed = torch.eye(width, dtype=torch.bool).repeat(len(items), 1, 1)
    for row, (prompt, candidates) in enumerate(items):
        start = len(prompt)
        ids[row, :start] = torch.tensor(prompt)
        positions[row, :start] = torch.arange(start)
        allowed[row, :start, :start] = torch.ones(start, start, dtype=torch.bool).tril()
        for candidate in candidates:
            end = start + len(candidate)
            ids[row, start:end] = torch.tensor(candidate)
            positions[row, start:end] = torch.arange(len(prompt), len(prompt) + len(candidate))
            allowed[row, start:end, : len(prompt)] = True
            allowed[row, start:end, start:end] = torch.ones(
                len(candidate), len(candidate), dtype=torch.bool
            ).tril()
            start = end
    keep = torch.zeros_like(ids, dtype=torch.bool)
    for row, (prompt, candidates) in enumerate(items):
        keep[row, len(prompt) - 1 : _length((prompt, candidates))] = True
    logits = iter(_logits(model, ids, positions, allowed, keep).split(keep.sum(dim=1).tolist()))
    return [_means(next(logits), candidates) for _, candidates in items]


def _logits(model, ids, positions, allowed, keep) -> torch.Tensor:
    """At the positions of `keep`, shape (positions, vocabulary), in float32."""
    import torch

    mask = torch.zeros(allowed.shape, dtype=model.dtype)
    mask = mask.masked_fill(~allowed, torch.finfo(model.dtype).min)[:, None]
    device = model.device
    with torch.inference_mode():
        return model(
            input_ids=ids.to(device),
            position_ids=positions.to(device),
            attention_mask=mask.to(device),
            use_cache=False,
            logits_to_keep=keep.to(device),
        ).logits.float()


def _means(logits: torch.Tensor, candidates: list[list[int]]) -> list[float]:
    """Mean log-likelihoods, from the logits at the prompt's last position and at all candidates' positions.

    A candidate's first token is predicted at the prompt's last position, the others inside the candidate.
    """
    import torch

    at, start = [], 1
    for candidate in candidates:
        at += [0, *range(start, start + len(candidate) - 1)]
        start += len(candidate)
    chosen = torch.tensor([id_ for candidate in candidates for id_ in candidate], device=logits.device)
    # Not log_softmax: that would write the whole matrix once more to read one column of each row.
    gathered = logits[torch.tensor(at, device=logits.device), chosen]
    found = (gathered - logits.logsumexp(dim=-1)[torch.tensor(at, device=logits.device)]).cpu()
    return [each.mean().item() for each in found.split(list(map(len, candidates)))]
