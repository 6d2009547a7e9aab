"""Batches of training sequences: padded on the right, or packed into rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chat.padding import padded
from chat.sequences import IGNORED_LABEL

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PaddedCollator:
    """Collates sequences into `input_ids`, `labels` and `attention_mask` of shape (batch, longest).

    Padding is told by the attention mask, never by an id, so that the end of turn keeps its label.

    Attributes:
        reply_logits_only: see `with_reply_logits_only`.
        pad_to_length: pads every row to this many tokens (None: to the longest of the batch).
    """

    pad_token_id: int
    reply_logits_only: bool = False
    pad_to_length: int | None = None

    def __call__(self, examples: list[dict]) -> dict[str, torch.Tensor]:
        width, ids = self.pad_to_length, [example["input_ids"] for example in examples]
        input_ids, mask = padded(ids, self.pad_token_id, width)
        labels, _ = padded([example["labels"] for example in examples], IGNORED_LABEL, width)
        batch = {"input_ids": input_ids, "labels": labels, "attention_mask": mask}
        return with_reply_logits_only(batch) if self.reply_logits_only else batch


@dataclass(frozen=True)
class PackedCollator:
    """Collates rows of sequences into `input_ids`, `labels` and `position_ids` of shape (batch, row_length).

    Positions start anew at each sequence. Without an attention mask, transformers takes that as the border
    that attention does not cross. What is left of a row is filled with sequences of a single `filler_id`
    without label, however few positions the model has.
    """

    filler_id: int
    row_length: int
    reply_logits_only: bool = False

    def __call__(self, rows: list[list[dict]]) -> dict[str, torch.Tensor]:
        def joined(column: str) -> list[list[int]]:
            return [[id_ for sequence in row for id_ in sequence[column]] for row in rows]

        positions = [[at for sequence in row for at in range(len(sequence["input_ids"]))] for row in rows]
        batch = {
            "input_ids": padded(joined("input_ids"), self.filler_id, self.row_length)[0],
            "labels": padded(joined("labels"), IGNORED_LABEL, self.row_length)[0],
            "position_ids": padded(positions, 0, self.row_length)[0],
        }
        return with_reply_logits_only(batch) if self.reply_logits_only else batch


def with_reply_logits_only(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Asks the model for logits only where a label needs them: the vocabulary's projection is a large part of
    a small model, and half of all tokens are no reply.

    Adds `logits_to_keep` (bool, (batch, length)) and `shift_labels` (the labels of these positions, in
    order), as `forward` of the models in transformers takes them.
    """
    import torch

    shifted = torch.nn.functional.pad(batch["labels"], (0, 1), value=IGNORED_LABEL)[:, 1:]
    keep = shifted != IGNORED_LABEL
    return {**batch, "logits_to_keep": keep, "shift_labels": shifted[keep]}
