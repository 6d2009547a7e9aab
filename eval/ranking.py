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
    log_probabilities = _log_probabilities(model, ids, positions, allowed)
    return [
        _means(log_probabilities[row], prompt, candidates) for row, (prompt, candidates) in enumerate(items)
    ]


def _log_probabilities(model, ids, positions, allowed) -> torch.Tensor:
    """Shape (batch, width, vocabulary), on the CPU in float32."""
    import torch

    mask = torch.zeros(allowed.shape, dtype=model.dtype)
    mask = mask.masked_fill(~allowed, torch.finfo(model.dtype).min)[:, None]
    device = model.device
    with torch.inference_mode():
        logits = model(
            input_ids=ids.to(device),
            position_ids=positions.to(device),
            attention_mask=mask.to(device),
            use_cache=False,
        ).logits
    return torch.log_softmax(logits.float(), dim=-1)


def _means(log_probabilities: torch.Tensor, prompt: list[int], candidates: list[list[int]]) -> list[float]:
    """A candidate's first token is predicted at the prompt's last position, the others inside it."""
    import torch

    means, start = [], len(prompt)
    for candidate in candidates:
        at = [len(prompt) - 1, *range(start, start + len(candidate) - 1)]
        chosen = log_probabilities[torch.tensor(at), torch.tensor(candidate)]
        means.append(chosen.mean().item())
        start += len(candidate)
    return means
