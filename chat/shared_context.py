"""Replies to one context in one row: the context, by far the longest part, is computed once for all of them.

A row is a context and after it each of its replies, which see the context and themselves, never one another,
at the positions that follow the context.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from chat.layouts import reads_as_alone

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Ids of a context, and of each of the replies to it.
Row = tuple[list[int], list[list[int]]]


def length_of(row: Row) -> int:
    context, replies = row
    return len(context) + sum(map(len, replies))


def lay_out(rows: Sequence[Row], pad_token_id: int) -> dict[str, torch.Tensor]:
    """A batch of `input_ids`, `position_ids` and `logits_to_keep` of shape (rows, longest) and
    `attention_mask` (rows, 1, longest, longest), which is true where a token is seen; of each token of a
    reply, its id (`targets`), which of the kept logits predicts it (`sources`) and its reply (`replies`); of
    each reply, its row (`place`).
    """
    width = max(map(length_of, rows))
    batch = {
        "input_ids": torch.full((len(rows), width), pad_token_id),
        "position_ids": torch.zeros(len(rows), width, dtype=torch.long),
        "attention_mask": torch.eye(width, dtype=torch.bool).repeat(len(rows), 1, 1, 1),
        "logits_to_keep": torch.zeros(len(rows), width, dtype=torch.bool),
    }
    sources, targets, replies_of, places, kept = [], [], [], [], 0
    for index, (context, replies) in enumerate(rows):
        place = {name: each[index] for name, each in batch.items()}
        at_end_of_context = kept
        start = _fill(place, context, 0, 0)
        place["logits_to_keep"][start - 1] = True
        kept += 1
        for reply in replies:
            replies_of += [len(places)] * len(reply)
            places.append(index)
            targets += reply
            sources += [at_end_of_context, *range(kept, kept + len(reply) - 1)]
            end = _fill(place, reply, start, len(context))
            place["logits_to_keep"][start : end - 1] = True
            kept, start = kept + len(reply) - 1, end
    of_tokens = {"sources": sources, "targets": targets, "replies": replies_of, "place": places}
    return batch | {name: torch.tensor(each) for name, each in of_tokens.items()}


def _fill(place: dict[str, torch.Tensor], ids: list[int], start: int, context_length: int) -> int:
    """Writes ids into a row from `start` on, in view of the context and of what is before them; returns where
    they end."""
    end = start + len(ids)
    place["input_ids"][start:end] = torch.tensor(ids)
    place["position_ids"][start:end] = torch.arange(context_length, context_length + len(ids))
    place["attention_mask"][0, start:end, :context_length] = True
    place["attention_mask"][0, start:end, start:end] = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
    return end


def token_log_probs(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """log P of each token of the replies of a batch of `lay_out`, in nats, in the order of `targets`."""
    # Attention that adds the mask, rather than choosing by it, takes only numbers.
    mask = torch.zeros(batch["attention_mask"].shape, device=batch["attention_mask"].device)
    mask = mask.masked_fill(~batch["attention_mask"], torch.finfo(mask.dtype).min)
    logits = model(
        input_ids=batch["input_ids"],
        position_ids=batch["position_ids"],
        attention_mask=mask,
        logits_to_keep=batch["logits_to_keep"],
        use_cache=False,
    ).logits
    logits = logits.reshape(-1, logits.shape[-1]).float()
    # Not log_softmax: that would write the whole matrix once more to read one column of each row.
    return logits[batch["sources"], batch["targets"]] - logits.logsumexp(-1)[batch["sources"]]


def reads_shared_contexts(model: PreTrainedModel, rows: Sequence[Row], pad_token_id: int) -> bool:
    """Whether the model reads replies that share a context as it reads each of them alone.

    It is found out on the longest row and on the one with the longest single sequence: a window that is too
    short for any row is too short for one of these. Of a row's replies the first, the longest and the last
    are compared.
    """
    by_sequence = max(rows, key=lambda row: len(row[0]) + max(map(len, row[1])))
    chosen = list({id(row): row for row in (max(rows, key=length_of), by_sequence)}.values())
    compared = [
        (index, reply)
        for index, (_, replies) in enumerate(chosen)
        for reply in sorted({0, replies.index(max(replies, key=len)), len(replies) - 1})
    ]

    def together() -> list[torch.Tensor]:
        batch = {name: each.to(model.device) for name, each in lay_out(chosen, pad_token_id).items()}
        lengths = [len(reply) for _, replies in chosen for reply in replies]
        of_replies = iter(token_log_probs(model, batch).split(lengths))
        by_row = [list(itertools.islice(of_replies, len(replies))) for _, replies in chosen]
        return [by_row[index][reply] for index, reply in compared]

    alone = [[*chosen[index][0], *chosen[index][1][reply]] for index, reply in compared]
    return reads_as_alone(model, together, alone)
