"""Negative log-likelihoods of replies under a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm.auto import tqdm

from eval.formats import ScoredSequence

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MAX_BATCH_TOKENS = 4096


def score_replies(
    model: PreTrainedModel, sequences: list[ScoredSequence], description: str = "scoring"
) -> list[list[list[float]]]:
    """Per sequence and reply, the negative log-likelihood of each token of the reply, in nats.

    Sequences of about the same length share a batch, padded on the right; batching does not change what is
    scored.
    """
    import torch

    losses: list[list[list[float]]] = [[] for _ in sequences]
    with torch.inference_mode(), tqdm(total=len(sequences), desc=description, unit=" sequences") as progress:
        for batch in _batches(sequences):
            rows = [torch.tensor(sequences[index].input_ids) for index in batch]
            input_ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(model.device)
            lengths = torch.tensor([len(row) for row in rows], device=model.device)
            mask = (torch.arange(input_ids.shape[1], device=model.device) < lengths[:, None]).long()
            logits = model(input_ids=input_ids, attention_mask=mask, use_cache=False).logits
            for row, index in enumerate(batch):
                losses[index] = [
                    _span_losses(logits[row], input_ids[row], start, end)
                    for _, start, end in sequences[index].spans
                ]
            progress.update(len(batch))
    return losses


def _span_losses(logits, input_ids, start: int, end: int) -> list[float]:
    """Each token is predicted at the position before it; a role token or label is always before `start`."""
    import torch

    return torch.nn.functional.cross_entropy(
        logits[start - 1 : end - 1].float(), input_ids[start:end], reduction="none"
    ).tolist()


def _batches(sequences: list[ScoredSequence]) -> list[list[int]]:
    """Indices of the sequences in batches, the longest first: memory runs out at once or not at all."""
    order = sorted(range(len(sequences)), key=lambda index: -len(sequences[index].input_ids))
    batches: list[list[int]] = []
    for index in order:
        longest = len(sequences[batches[-1][0]].input_ids) if batches else 0
        if batches and longest * (len(batches[-1]) + 1) <= MAX_BATCH_TOKENS:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
