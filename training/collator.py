"""Batches of training sequences, padded on the right to the longest of the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chat.template import IGNORED_LABEL

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DialogueCollator:
    """Collates `input_ids` and `labels` into tensors of shape (batch, longest).

    Padding is told by the attention mask, never by an id, so that the end of turn keeps its label.
    """

    pad_token_id: int

    def __call__(self, examples: list[dict]) -> dict[str, torch.Tensor]:
        import torch

        longest = max(len(example["input_ids"]) for example in examples)

        def padded(column: str, filler: int) -> torch.Tensor:
            rows = [
                list(example[column]) + [filler] * (longest - len(example[column])) for example in examples
            ]
            return torch.tensor(rows, dtype=torch.long)

        lengths = torch.tensor([len(example["input_ids"]) for example in examples])
        return {
            "input_ids": padded("input_ids", self.pad_token_id),
            "labels": padded("labels", IGNORED_LABEL),
            "attention_mask": (torch.arange(longest) < lengths[:, None]).long(),
        }
