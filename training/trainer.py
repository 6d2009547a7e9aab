"""`transformers.Trainer` with our order of data, evaluation by token, and checkpoints that resume exactly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import ExportableState

from chat.cli import UserError
from chat.folders import is_write_failure
from chat.template import IGNORED_LABEL
from training.callbacks import StopEarly, StopOnSigterm
from training.muon import MuonWithAdamW
from training.sampler import EpochOrder, EpochSampler

LOSS_WINDOW_FILE = "loss_window.json"


class DialogueTrainer(Trainer):
    """Differs from its base in seven things:

    - the order of the data depends on seed and epoch alone (`training.sampler`);
    - a checkpoint also holds the losses since the last log line, so that a resumed run logs what an unbroken
      one logs, and a checkpoint that cannot be written is removed and reported as a `UserError`;
    - evaluation weighs every reply token alike and counts every example once, however many processes there
      are: `eval_loss` is nats per token, `eval_perplexity` its exponential;
    - the best model so far is saved whenever an evaluation finds it;
    - the optimizer may be Muon;
    - a run that is resumed at its end, or where it stopped early, is at its end, and takes no further step;
    - a resumed run evaluates, saves, logs and waits for a better loss as often as its own arguments say, not
      as the checkpoint's did.
    """

    def __init__(self, *, sampler: EpochSampler, eval_collator, optimizer: str = "adamw", **arguments):
        super().__init__(**arguments)
        self.uses_muon = optimizer == "muon"
        if self.uses_muon and (self.is_deepspeed_enabled or self.is_fsdp_enabled):
            raise UserError(
                "--optimizer muon: needs whole matrices in each process, which FSDP and DeepSpeed divide; "
                "give --optimizer adamw, or launch without them"
            )
        self.sampler = sampler
        self.eval_collator = eval_collator
        self.add_callback(EpochOrder(sampler))

    @property
    def stopped_at_step(self) -> int | None:
        """The step at which SIGTERM stopped the run, if it did."""
        stop = self._callback(StopOnSigterm)
        return stop.stopped_at_step if stop else None

    def _callback(self, kind: type[TrainerCallback]) -> TrainerCallback | None:
        return next((each for each in self.callback_handler.callbacks if isinstance(each, kind)), None)

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

    def _init_training_state(self, max_steps, *arguments):
        found = super()._init_training_state(max_steps, *arguments)
        self.state.compute_steps(self.args, max_steps)
        if stop_early := self._callback(StopEarly):
            stop_early.go_on(self.state)
        # Of what this run has, which may be more or less than the checkpoint's had.
        self.state.stateful_callbacks = {
            type(each).__name__: each.state()
            for each in (*self.callback_handler.callbacks, self.control)
            if isinstance(each, ExportableState)
        }
        return found

    def _run_epoch(self, **arguments):
        stop_early = self._callback(StopEarly)
        if self.state.global_step >= self.state.max_steps or (stop_early and stop_early.is_over):
            self.control.should_training_stop = True
            return None
        return super()._run_epoch(**arguments)

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

    def _save_rng_state(self, output_dir: str) -> None:
        """What a resume restores beside weights and optimizer. All processes have written when it returns, so
        that the state file, which comes next, is the last file of a checkpoint.
        """
        super()._save_rng_state(output_dir)
        loss_sum = self.accelerator.gather(self._tr_loss).mean().item()
        if self.args.should_save:
            window = {"loss_sum": loss_sum, "logged_step": self._globalstep_last_logged}
            (Path(output_dir) / LOSS_WINDOW_FILE).write_text(json.dumps(window), encoding="utf-8")
        self.accelerator.wait_for_everyone()

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        window = Path(checkpoint or "") / LOSS_WINDOW_FILE
        if checkpoint and window.is_file():
            saved = json.loads(window.read_text(encoding="utf-8"))
            self._tr_loss += saved["loss_sum"]
            self._globalstep_last_logged = saved["logged_step"]

    def _save_checkpoint(self, model, trial) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except Exception as error:
            if not is_write_failure(error):
                raise
            step = self.state.global_step
            free = shutil.disk_usage(self.args.output_dir).free
            shutil.rmtree(Path(self.args.output_dir) / f"checkpoint-{step}", ignore_errors=True)
            raise UserError(
                f"--output-dir {self.args.output_dir}: the checkpoint of step {step} cannot be written "
                f"({free / 1e6:,.0f} MB were free; {str(error).splitlines()[0]}); make room and go on with "
                "--resume"
            ) from error


def row_losses(model, inputs: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Per row of a padded batch, the nats of its labelled tokens and their number."""
    labels = inputs["labels"][:, 1:]
    labelled = labels != IGNORED_LABEL
    forward = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    logits = model(**forward).logits[:, :-1][labelled].float()
    losses = torch.nn.functional.cross_entropy(logits, labels[labelled], reduction="none")
    rows = torch.nonzero(labelled)[:, 0]
    nats = torch.zeros(len(labels), device=losses.device).index_add(0, rows, losses)
    return nats, labelled.sum(dim=1)
