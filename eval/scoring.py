"""Negative log-likelihoods of replies under a model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chat.dialogue import Dialogue
from chat.padding import padded
from eval.formats import Format, ScoredSequence, scored_sequences
from eval.processes import in_batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def score_views(
    model: PreTrainedModel,
    format_: Format,
    views: Sequence[Dialogue],
    positions: int,
    description: str = "scoring",
) -> tuple[list[list[list[float]]], list[list[str]]]:
    """Per dialogue and reply, the nats of each of the reply's tokens; and per dialogue the texts of
    what was scored.

    Args:
        positions: longest sequence, the same for all models that are compared.
    """
    max_text_tokens = positions // 4
    per_view = [scored_sequences(view, format_, positions, max_text_tokens) for view in views]
    flat = [sequence for each in per_view for sequence in each]
    scored = iter(score_replies(model, flat, description))
    losses = [[reply for _ in each for reply in next(scored)] for each in per_view]
    texts = [
        [
            _text(view, sequence, span, format_, max_text_tokens)
            for sequence in each
            for span in sequence.spans
        ]
        for view, each in zip(views, per_view, strict=True)
    ]
    return losses, texts


def _text(
    view: Dialogue,
    sequence: ScoredSequence,
    span: tuple[int, int, int],
    format_: Format,
    max_text_tokens: int,
) -> str:
    """What was scored of a reply, which is cut where it is very long."""
    index, start, end = span
    if end - start < max_text_tokens:
        return view.turns[index].text
    return format_.tokenizer.decode(sequence.input_ids[start:end], clean_up_tokenization_spaces=False)


def score_replies(
    model: PreTrainedModel, sequences: list[ScoredSequence], description: str = "scoring"
) -> list[list[list[float]]]:
    """Per sequence and reply, the negative log-likelihood of each token of the reply, in nats.

    Sequences of about the same length share a batch, padded on the right; batching does not change what is
    scored.
    """
    return in_batches(
        [len(sequence.input_ids) for sequence in sequences],
        lambda batch: _score(model, [sequences[index] for index in batch]),
        description,
    )


def _score(model: PreTrainedModel, sequences: list[ScoredSequence]) -> list[list[list[float]]]:
    """Each token is predicted at the position before it; a role token or label is always before a reply."""
    import torch

    from chat.layouts import takes_logits_to_keep

    input_ids, mask = padded([sequence.input_ids for sequence in sequences])
    predicts = torch.zeros_like(input_ids, dtype=torch.bool)
    for row, sequence in zip(predicts, sequences, strict=True):
        for _, start, end in sequence.spans:
            row[start - 1 : end - 1] = True
    input_ids, mask, predicts = (each.to(model.device) for each in (input_ids, mask, predicts))
    some_logits = takes_logits_to_keep(model)
    kept = {"logits_to_keep": predicts} if some_logits else {}
    with torch.inference_mode():
        logits = model(input_ids=input_ids, attention_mask=mask, use_cache=False, **kept).logits
        logits = logits.reshape(-1, logits.shape[-1]) if some_logits else logits[predicts]
        losses = torch.nn.functional.cross_entropy(
            logits.float(), input_ids.roll(-1, dims=1)[predicts], reduction="none"
        )
    of_tokens = iter(losses.tolist())
    return [
        [list(itertools.islice(of_tokens, end - start)) for _, start, end in sequence.spans]
        for sequence in sequences
    ]
