"""Direct preference optimisation in which all replies to one place share the conversation before them.

So the conversation is computed once (`chat/shared_context.py`), and not for each reply of each pair.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from chat.sequences import IGNORED_LABEL
from chat.shared_context import Row, lay_out, token_log_probs
from training.collator import PaddedCollator
from training.resumable_trainer import ResumableTrainer
from training.trainer import row_losses


@dataclass(frozen=True)
class RepliesCollator:
    """Collates places of conversations, each with replies, into one batch.

    An example has `prompt_ids`, `replies` (ids, each with its end of turn) and `good` (of each reply). A
    batch is that of `chat.shared_context.lay_out`, with whether each reply is `good`. An example may
    bring a training `sequence` of `input_ids` and `labels`; these are padded as `dialogues`.

    Attributes:
        with_dialogues: gives every batch `dialogues`, a row without label where no example brings one: a
            process that computed its model less often than the others would leave them waiting for ever.
    """

    pad_token_id: int
    with_dialogues: bool = False

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = lay_out([row_of(example) for example in examples], self.pad_token_id)
        batch["good"] = torch.tensor([each for example in examples for each in example["good"]])
        if self.with_dialogues:
            blank = {"input_ids": [self.pad_token_id], "labels": [IGNORED_LABEL]}
            dialogues = [example["sequence"] for example in examples if "sequence" in example]
            batch["dialogues"] = PaddedCollator(self.pad_token_id, reply_logits_only=True)(
                dialogues or [blank]
            )
        return batch


def row_of(example: dict[str, Any]) -> Row:
    return example["prompt_ids"], example["replies"]


def blank_place(pad_token_id: int) -> dict[str, Any]:
    """An example of which nothing is learnt: it has no pair and no good reply."""
    return {"prompt_ids": [pad_token_id], "replies": [[pad_token_id]], "good": [False]}


def at_least_one(count: torch.Tensor) -> torch.Tensor:
    return count.clamp(min=1)


@dataclass(frozen=True)
class PreferenceLoss:
    """Equation 7 of Rafailov et al., 2023 (https://arxiv.org/abs/2305.18290), with two brakes.

    Attributes:
        beta: how much it costs to differ from the reference.
        length_weight: log odds, a token, with which the shorter of two replies is expected to be the good
            one. What length explains is not learnt (R-DPO, Park et al., 2024, https://arxiv.org/abs/2403.19159).
        reply_loss_weight: of the cross-entropy of the good replies, so that they do not become unlikelier
            together with the bad ones (Pang et al., 2024, https://arxiv.org/abs/2404.19733).
    """

    beta: float
    length_weight: float
    reply_loss_weight: float

    def __call__(
        self,
        log_probs: torch.Tensor,
        before: torch.Tensor,
        batch: dict[str, torch.Tensor],
        divisor: Callable[[torch.Tensor], torch.Tensor] = at_least_one,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The mean over places of the mean loss of a place's pairs of a good and a bad reply; of each place
        (places,), the number of pairs in which the good reply gained more, and the number of pairs.

        Args:
            log_probs: (replies,) log P(reply) under the model, in nats.
            before: (replies,) the same under the reference.
            batch: of `RepliesCollator`.
            divisor: of a number of places or tokens, what the sum over them is divided by.
        """
        good, place = batch["good"], batch["place"]
        lengths = torch.bincount(batch["replies"], minlength=len(place))
        pairs = good[:, None] & ~good[None, :] & (place[:, None] == place[None, :])
        gains = log_probs - before
        margins = gains[:, None] - gains[None, :]
        logits = self.beta * margins + self.length_weight * (lengths[None, :] - lengths[:, None])
        zeros = place.new_zeros(int(place.max()) + 1)
        right, of_place = (zeros.index_add(0, place, of.sum(1)) for of in (pairs & (margins > 0), pairs))
        weights = pairs / of_place.clamp(min=1)[place][:, None] / divisor((of_place > 0).sum())
        loss = -(weights * torch.nn.functional.logsigmoid(logits)).sum()
        if self.reply_loss_weight:
            loss = loss - self.reply_loss_weight * log_probs[good].sum() / divisor(lengths[good].sum())
        return loss, right, of_place


def log_probs_of_replies(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """log P(reply | conversation) of each reply of a batch of `RepliesCollator`, in nats."""
    of_tokens = token_log_probs(model, batch)
    return torch.zeros(len(batch["place"]), device=of_tokens.device).index_add(0, batch["replies"], of_tokens)


class PreferenceTrainer(ResumableTrainer):
    """Moves a model from what it was towards good replies, away from bad ones.

    `eval_accuracy` is the share of the `eval_pairs` in which the good reply has gained more than the bad one.
    """

    def __init__(self, *, loss: PreferenceLoss, data_loss_weight: float, **arguments):
        super().__init__(**arguments)
        self.loss, self.data_loss_weight = loss, data_loss_weight
        self.reference = copy.deepcopy(self.model).requires_grad_(False).eval().to(self.args.device)
        # Without dropout, as the model is read when it replies.
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss, *_ = self._preference(model, inputs, self._share_of_all)
        if "dialogues" in inputs:
            nats, tokens = row_losses(model, inputs["dialogues"])
            loss = loss + self.data_loss_weight * nats.sum() / self._share_of_all(tokens.sum())
        return loss

    def _share_of_all(self, count: torch.Tensor) -> torch.Tensor:
        """The count of all processes, over their number: gradients are averaged over processes, of which one
        may have more tokens than another, or none.
        """
        return at_least_one(self.accelerator.reduce(count.float(), "sum")) / self.accelerator.num_processes

    def _preference(
        self, model: torch.nn.Module, batch: dict[str, torch.Tensor], *divisor: Callable
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        # As `accelerate` has the model compute, so that before the first step the two are the same.
        with torch.no_grad(), self.accelerator.autocast():
            before = log_probs_of_replies(self.reference, batch)
        return self.loss(log_probs_of_replies(model, batch), before, batch, *divisor)

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
