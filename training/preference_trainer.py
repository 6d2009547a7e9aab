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

from training.collator import PaddedCollator
from training.resumable_trainer import ResumableTrainer
from training.trainer import row_losses


@dataclass(frozen=True)
class RepliesCollator:
    """Collates places of conversations, each with replies, into one batch.

    An example has `prompt_ids`, `replies` (ids, each with its end of turn) and `good` (of each reply). A
    batch has `input_ids`, `position_ids` and `logits_to_keep` of shape (places, longest), `attention_mask`
    (places, 1, longest, longest); of each token of a reply, its id (`targets`), which of the kept logits
    predicts it (`sources`), and its reply (`replies`); of each reply, its `place` and whether it is `good`.
    An example may bring a training `sequence` of `input_ids` and `labels`; these are padded as `dialogues`.
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
        batch |= {name: torch.tensor(each) for name, each in of_tokens.items()}
        batch["good"] = torch.tensor([each for example in examples for each in example["good"]])
        if dialogues := [example["sequence"] for example in examples if "sequence" in example]:
            batch["dialogues"] = PaddedCollator(self.pad_token_id)(dialogues)
        return batch


def _fill(place: dict[str, torch.Tensor], ids: list[int], start: int, prompt_length: int) -> int:
    """Writes ids into a row from `start` on, in view of the prompt and of what is before them; returns where
    they end."""
    end = start + len(ids)
    place["input_ids"][start:end] = torch.tensor(ids)
    place["position_ids"][start:end] = torch.arange(prompt_length, prompt_length + len(ids))
    place["attention_mask"][0, start:end, :prompt_length] = True
    place["attention_mask"][0, start:end, start:end] = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
    return end


@dataclass(frozen=True)
class PreferenceLoss:
    """Equation 7 of Rafailov et al., 2023 (https://arxiv.org/abs/2305.18290), with two brakes.

    Attributes:
        beta: how dear it is to differ from the reference.
        length_weight: log odds, a token, with which the shorter of two replies is expected to be the good
            one. What length explains is not learnt (R-DPO, Park et al., 2024, https://arxiv.org/abs/2403.19159).
        reply_loss_weight: of the cross-entropy of the good replies, so that they do not become unlikelier
            together with the bad ones (Pang et al., 2024, https://arxiv.org/abs/2404.19733).
    """

    beta: float
    length_weight: float
    reply_loss_weight: float

    def __call__(
        self, log_probs: torch.Tensor, before: torch.Tensor, batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The mean over places of the mean loss of a place's pairs of a good and a bad reply; of each place
        (places,), the number of pairs in which the good reply gained more, and the number of pairs.

        Args:
            log_probs: (replies,) log P(reply) under the model, in nats.
            before: (replies,) the same under the reference.
            batch: of `RepliesCollator`.
        """
        good, place = batch["good"], batch["place"]
        lengths = torch.bincount(batch["replies"], minlength=len(place))
        pairs = good[:, None] & ~good[None, :] & (place[:, None] == place[None, :])
        gains = log_probs - before
        margins = gains[:, None] - gains[None, :]
        logits = self.beta * margins + self.length_weight * (lengths[None, :] - lengths[:, None])
        zeros = place.new_zeros(int(place.max()) + 1)
        right, of_place = (zeros.index_add(0, place, of.sum(1)) for of in (pairs & (margins > 0), pairs))
        weights = pairs / of_place.clamp(min=1)[place][:, None] / (of_place > 0).sum().clamp(min=1)
        loss = -(weights * torch.nn.functional.logsigmoid(logits)).sum()
        if self.reply_loss_weight:
            loss = loss - self.reply_loss_weight * log_probs[good].sum() / lengths[good].sum().clamp(min=1)
        return loss, right, of_place


def log_probs_of_replies(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """log P(reply | conversation) of each reply of a batch of `RepliesCollator`, in nats."""
    names = ("input_ids", "position_ids", "attention_mask", "logits_to_keep")
    logits = model(**{name: batch[name] for name in names}, use_cache=False).logits
    log_probs = logits.reshape(-1, logits.shape[-1]).float().log_softmax(-1)
    of_tokens = log_probs[batch["sources"], batch["targets"]]
    return torch.zeros(len(batch["place"]), device=of_tokens.device).index_add(0, batch["replies"], of_tokens)


class PreferenceTrainer(ResumableTrainer):
    """Moves a model from what it was towards good replies, away from bad ones.

    `eval_accuracy` is the share of the `eval_pairs` in which the good reply has gained more than the bad one.
    """

    def __init__(self, *, loss: PreferenceLoss, data_loss_weight: float = 0.0, **arguments):
        super().__init__(**arguments)
        self.loss, self.data_loss_weight = loss, data_loss_weight
        self.reference = copy.deepcopy(self.model).requires_grad_(False).eval().to(self.args.device)
        # Without dropout, as the model is read when it replies.
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss, *_ = self._preference(model, inputs)
        if "dialogues" in inputs:
            nats, tokens = row_losses(model, inputs["dialogues"])
            loss = loss + self.data_loss_weight * nats.sum() / tokens.sum().clamp(min=1)
        return (loss, None) if return_outputs else loss

    def _preference(self, model, batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        # As `accelerate` has the model compute, so that before the first step the two are the same.
        with torch.no_grad(), self.accelerator.autocast():
            before = log_probs_of_replies(self.reference, batch)
        return self.loss(log_probs_of_replies(model, batch), before, batch)

    def evaluation_loop(self, *arguments, metric_key_prefix="eval", **options):
        self._right = self._pairs = 0
        output = super().evaluation_loop(*arguments, metric_key_prefix=metric_key_prefix, **options)
        output.metrics[f"{metric_key_prefix}_accuracy"] = self._right / max(self._pairs, 1)
        output.metrics[f"{metric_key_prefix}_pairs"] = self._pairs
        return output

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, *counts = self._preference(model, self._prepare_inputs(inputs))
        # Without the places that fill up the last batches of several processes.
        right, pairs = self.accelerator.gather_for_metrics(counts)
        self._right += int(right.sum())
        self._pairs += int(pairs.sum())
        return loss, None, None
