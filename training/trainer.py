"""The trainer of dialogues: our order of data, evaluation by token, the best model kept, and Muon."""

from __future__ import annotations

import torch

from chat.cli import UserError
from chat.sequences import IGNORED_LABEL
from training.muon import MuonWithAdamW
from training.resumable_trainer import ResumableTrainer
from training.sampler import EpochOrder, EpochSampler


class DialogueTrainer(ResumableTrainer):
    """Differs from its base in four things:

    - the order of the data depends on seed and epoch alone (`training.sampler`), and an epoch has every row
      once, however many processes there are;
    - evaluation weighs every reply token alike and counts every example once, however many processes there
      are: `eval_loss` is nats per token, `eval_perplexity` its exponential;
    - the best model so far is saved whenever an evaluation finds it;
    - the optimizer may be Muon.
    """

    def __init__(self, *, sampler: EpochSampler, eval_collator, optimizer: str, **arguments):
        super().__init__(**arguments)
        self.uses_muon = optimizer == "muon"
        if self.uses_muon and (self.is_deepspeed_enabled or self.is_fsdp_enabled):
            raise UserError(
                "--optimizer muon: needs whole matrices in each process, which FSDP and DeepSpeed divide; "
                "give --optimizer adamw, or launch without them"
            )
        self.sampler = sampler
        # A process may get no label at all: that is 0 where the loss is a sum over the global batch's tokens.
        if self.model_accepts_loss_kwargs and self.args.world_size > 1:
            sampler.fill_to = self.args.train_batch_size * self.args.world_size
        self.eval_collator = eval_collator
        self.add_callback(EpochOrder(sampler))

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        if not self.uses_muon or self.optimizer is not None:
            return super().create_optimizer(model)
        _, adamw = self.get_optimizer_cls_and_kwargs(self.args, self.model)
        self.optimizer = MuonWithAdamW(
            self.model,
            weight_decay=self.args.weight_decay,
            decayed=self.get_decay_parameter_names(self.model),
            **adamw,
        )
        return self.optimizer

    def _get_train_sampler(self, train_dataset=None) -> EpochSampler:
        return self.sampler

    def get_eval_dataloader(self, eval_dataset=None):
        """Padded rows, whatever training is given."""
        train_collator, self.data_collator = self.data_collator, self.eval_collator
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator = train_collator

    def evaluation_loop(self, dataloader, description, *arguments, metric_key_prefix="eval", **options):
        self._nats = torch.zeros((), dtype=torch.float64)
        self._tokens = 0
        output = super().evaluation_loop(
            dataloader, description, *arguments, metric_key_prefix=metric_key_prefix, **options
        )
        loss = (self._nats / max(self._tokens, 1)).item()
        output.metrics[f"{metric_key_prefix}_loss"] = loss
        output.metrics[f"{metric_key_prefix}_perplexity"] = float(torch.tensor(loss).exp())
        return output

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        """Adds the batch's nats and tokens, of all processes and without the duplicates that fill a batch."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            nats, tokens = row_losses(model, inputs)
        loss = nats.sum() / tokens.sum().clamp(min=1)
        nats, tokens = self.accelerator.gather_for_metrics((nats, tokens))
        # On the CPU: not every device computes in float64.
        self._nats += nats.cpu().double().sum()
        self._tokens += int(tokens.sum())
        return loss, None, None

    def _determine_best_metric(self, metrics, trial) -> bool:
        is_best = super()._determine_best_metric(metrics, trial)
        if is_best:
            self.control.should_save = True
        return is_best


def row_losses(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Per row of a batch of `PaddedCollator`, the nats of its labelled tokens and their number."""
    logits, tokens, labelled = labelled_logits(model, batch)
    losses = torch.nn.functional.cross_entropy(logits, tokens, reduction="none")
    rows = torch.nonzero(labelled)[:, 0]
    nats = torch.zeros(len(labelled), device=losses.device).index_add(0, rows, losses)
    return nats, labelled.sum(dim=1)


def labelled_logits(
    model: torch.nn.Module, batch: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of a batch of `PaddedCollator`, the labelled tokens: the logits that predict them (tokens, vocabulary),
    their ids (tokens,), and which they are of all but a row's first (rows, length - 1).
    """
    labels = batch["labels"][:, 1:]
    labelled = labels != IGNORED_LABEL
    read = ("input_ids", "attention_mask", "logits_to_keep")
    logits = model(**{name: batch[name] for name in read if name in batch}).logits
    if "logits_to_keep" not in batch:
        logits = logits[:, :-1][labelled]
    return logits.reshape(-1, logits.shape[-1]).float(), labels[labelled], labelled
