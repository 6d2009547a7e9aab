"""Direct preference optimisation in which all replies to one place share the conversation before them.

A row is a conversation and after it each of its replies, which see the conversation and themselves, never one
another. So the conversation, by far the longest part, is computed once, and not for each reply of each pair.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Trainer


@dataclass(frozen=True)
class RepliesCollator:
    """Collates places of conversations, each with replies, into one batch.

    An example has `prompt_ids`, `replies` (ids, each with its end of turn) and `good` (of each reply). A
    batch has `input_ids`, `position_ids` and `logits_to_keep` of shape (places, longest), `attention_mask`
    (places, 1, longest, longest); of each token of a reply, its id (`targets`), which of the kept logits
    predicts it (`sources`), and its reply (`replies`); of each reply, its `place` and whether it is `good`.
    """

    pad_token_id: int

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        rows = [(example["prompt_ids"], example["replies"]) for example in examples]
        width = max(len(prompt) + sum(map(len, replies)) for prompt, replies in rows)
        batch = {
            "input_ids": torch.full((len(rows), width), self.pad_token_id),
            "position_ids": torch.zeros(len(rows), width, dtype=torch.long),
            "attention_mask": torch.eye(width, dtype=torch.bool).repeat(len(rows), 1, 1, 1),
            "logits_to_keep": torch.zeros(len(rows), width, dtype=torch.bool),
        }
        sources, targets, replies_of, places, kept = [], [], [], [], 0
        for index, (prompt, replies) in enumerate(rows):
            place = {name: each[index] for name, each in batch.items()}
            at_end_of_prompt = kept
            start = _fill(place, prompt, 0, 0)
            place["logits_to_keep"][start - 1] = True
            kept += 1
            for reply in replies:
                replies_of += [len(places)] * len(reply)
                places.append(index)
                targets += reply
                sources += [at_end_of_prompt, *range(kept, kept + len(reply) - 1)]
                end = _fill(place, reply, start, len(prompt))
                place["logits_to_keep"][start : end - 1] = True
                kept, start = kept + len(reply) - 1, end
        of_tokens = {"sources": sources, "targets": targets, "replies": replies_of, "place": places}
        good = torch.tensor([each for example in examples for each in example["good"]])
        return batch | {name: torch.tensor(each) for name, each in of_tokens.items()} | {"good": good}


def _fill(place: dict[str, torch.Tensor], ids: list[int], start: int, prompt_length: int) -> int:
    """Writes ids into a row from `start` on, in view of the prompt and of what is before them; returns where
    they end."""
    end = start + len(ids)
    place["input_ids"][start:end] = torch.tensor(ids)
    place["position_ids"][start:end] = torch.arange(prompt_length, prompt_length + len(ids))
    place["attention_mask"][0, start:end, :prompt_length] = True
    place["attention_mask"][0, start:end, start:end] = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
    return end


def log_probs_of_replies(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """log P(reply | conversation) of each reply of a batch of `RepliesCollator`, in nats."""
    names = ("input_ids", "position_ids", "attention_mask", "logits_to_keep")
    logits = model(**{name: batch[name] for name in names}, use_cache=False).logits
    log_probs = logits.reshape(-1, logits.shape[-1]).float().log_softmax(-1)
    of_tokens = log_probs[batch["sources"], batch["targets"]]
    return torch.zeros(len(batch["place"]), device=of_tokens.device).index_add(0, batch["replies"], of_tokens)


def preference_loss(
    gains: torch.Tensor, good: torch.Tensor, place: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The loss of equation 7 of Rafailov et al., 2023 (https://arxiv.org/abs/2305.18290).

    Args:
        gains: (replies,) log P(reply) under the model less that under the reference.
        good: (replies,) whether readers marked it so.
        place: (replies,) index of the conversation that each answers.

    Returns:
        The mean over places of the mean loss of a place's pairs of a good and a bad reply; the number of
        pairs in which the good reply gained more; the number of pairs.
    """
    pairs = good[:, None] & ~good[None, :] & (place[:, None] == place[None, :])
    margins = gains[:, None] - gains[None, :]
    of_place = torch.zeros(int(place.max()) + 1, device=gains.device).index_add(
        0, place, pairs.sum(1).float()
    )
    weights = pairs / of_place.clamp(min=1)[place][:, None] / (of_place > 0).sum().clamp(min=1)
    loss = -(weights * torch.nn.functional.logsigmoid(beta * margins)).sum()
    return loss, (pairs & (margins > 0)).sum(), pairs.sum()


class PreferenceTrainer(Trainer):
    """Moves a model from what it was towards good replies, away from bad ones.

    `eval_accuracy` is the share of pairs in which the good reply has gained more than the bad one.
    """

    def __init__(self, *, beta: float, **arguments):
        super().__init__(**arguments)
        self.beta = beta
        self.reference = copy.deepcopy(self.model).requires_grad_(False).eval().to(self.args.device)
        # Without dropout, as the model is read when it replies.
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss, *_ = self._preference(model, inputs)
        return (loss, None) if return_outputs else loss

    def _preference(self, model, batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            before = log_probs_of_replies(self.reference, batch)
        gains = log_probs_of_replies(model, batch) - before
        return preference_loss(gains, batch["good"], batch["place"], self.beta)

    def evaluation_loop(self, *arguments, metric_key_prefix="eval", **options):
        self._right = self._pairs = 0
        output = super().evaluation_loop(*arguments, metric_key_prefix=metric_key_prefix, **options)
        output.metrics[f"{metric_key_prefix}_accuracy"] = self._right / max(self._pairs, 1)
        return output

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, right, pairs = self._preference(model, self._prepare_inputs(inputs))
        self._right += int(self.accelerator.reduce(right))
        self._pairs += int(self.accelerator.reduce(pairs))
        return loss, None, None
