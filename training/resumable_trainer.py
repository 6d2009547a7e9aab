"""`transformers.Trainer` whose runs may be killed at any moment and go on as if nothing had been."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import signal
import threading
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import ExportableState

from chat.cli import UserError, first_line
from chat.folders import is_write_failure
from chat.hub.loading import without_bars
from training import data_digest
from training.callbacks import StopEarly, StopOnSigterm
from training.checkpoints import RUN_FILE, is_whole, run_id_of

LOSS_WINDOW_FILE = "loss_window.json"

logger = logging.getLogger(__name__)


class ResumableTrainer(Trainer):
    """Differs from its base in six things:

    - SIGTERM ends no process that collates batches before the one that trains has stopped and saved;
    - a checkpoint also holds the losses since the last log line, so that a resumed run logs what an unbroken
      one logs, digests of the data, and the run's id; one that cannot be written is removed and reported as
      a `UserError`;
    - a resumed run does not log the mean loss of all steps at its end;
    - a run that is resumed at its end, or where it stopped early, is at its end, and takes no further step;
    - a resumed run finds its best checkpoint in --output-dir, wherever that was when it was saved;
    - a resumed run evaluates, saves, logs and waits for a better loss as often as its own arguments say, not
      as the checkpoint's did.
    """

    def __init__(self, *, data_digests: dict[str, str], **arguments):
        """
        Args:
            data_digests: of what each flag that gives data gives (`training.data_digest`).
        """
        super().__init__(**arguments)
        self.data_digests = data_digests
        self._run_id = uuid.uuid4().hex

    @property
    def stopped_at_step(self) -> int | None:
        """The step at which SIGTERM stopped the run, if it did."""
        stop = self._callback(StopOnSigterm)
        return stop.stopped_at_step if stop else None

    def _callback(self, kind: type[TrainerCallback]) -> TrainerCallback | None:
        return next((each for each in self.callback_handler.callbacks if isinstance(each, kind)), None)

    def _get_dataloader(self, *arguments, **options) -> DataLoader:
        prepared = super()._get_dataloader(*arguments, **options)
        # Accelerate's wrapper iterates over this one, and copies its settings where batches are skipped.
        loader = prepared.base_dataloader
        loader.worker_init_fn = partial(_outlive_sigterm, loader.worker_init_fn)
        return prepared

    def _init_training_state(self, max_steps, *arguments):
        found = super()._init_training_state(max_steps, *arguments)
        if self.args.load_best_model_at_end and self.state.best_global_step:
            self._find_best_checkpoint()
        self.state.compute_steps(self.args, max_steps)
        if stop_early := self._callback(StopEarly):
            stop_early.go_on(self.state)
        # Of what this run has, which may be more or less than the checkpoint's had.
        self.state.stateful_callbacks = {
            type(each).__name__: each.state()
            for each in (*self.callback_handler.callbacks, self.control)
            if isinstance(each, ExportableState)
        }
        # Here, since an epoch that is whole is not begun again.
        if self._is_over() and self.is_world_process_zero():
            logger.info(
                "this run has ended already, at step %d: nothing is left to do", self.state.global_step
            )
        return found

    def _find_best_checkpoint(self) -> None:
        """The state names it by its path when it was saved, where there may be another run by now."""
        place = Path(self.args.output_dir) / f"checkpoint-{self.state.best_global_step}"
        if is_whole(place):
            self.state.best_model_checkpoint = str(place)
            return
        if self.is_world_process_zero():
            logger.warning(
                "--resume: %s, the best so far, is not there: the final model will be the best of what is "
                "still trained, or else the last",
                place,
            )
        self.state.best_model_checkpoint = self.state.best_global_step = self.state.best_metric = None

    def _is_over(self) -> bool:
        stop_early = self._callback(StopEarly)
        return self.state.global_step >= self.state.max_steps or bool(stop_early and stop_early.is_over)

    def _run_epoch(self, **arguments):
        if self._is_over():
            self.control.should_training_stop = True
            return None
        return super()._run_epoch(**arguments)

    def log(self, logs, *arguments):
        if "train_loss" in logs and self._initial_global_step:
            # The base's counts the losses since the last log line, and the steps since the run was resumed.
            del logs["train_loss"]
        super().log(logs, *arguments)

    def _save_rng_state(self, output_dir: str) -> None:
        """What a resume restores beside weights and optimizer. All processes have written when it returns, so
        that the state file, which comes next, is the last file of a checkpoint.
        """
        super()._save_rng_state(output_dir)
        loss_sum = self.accelerator.gather(self._tr_loss).mean().item()
        if self.args.should_save:
            window = {"loss_sum": loss_sum, "logged_step": self._globalstep_last_logged}
            (Path(output_dir) / LOSS_WINDOW_FILE).write_text(json.dumps(window), encoding="utf-8")
            data_digest.write(self.data_digests, Path(output_dir))
            (Path(output_dir) / RUN_FILE).write_text(json.dumps({"id": self._run_id}), encoding="utf-8")
        self.accelerator.wait_for_everyone()

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        if not checkpoint:
            return
        self._run_id = run_id_of(Path(checkpoint)) or self._run_id
        window = Path(checkpoint) / LOSS_WINDOW_FILE
        if window.is_file():
            saved = json.loads(window.read_text(encoding="utf-8"))
            self._tr_loss += saved["loss_sum"]
            self._globalstep_last_logged = saved["logged_step"]

    def _save_checkpoint(self, model, trial) -> None:
        try:
            with without_bars():
                super()._save_checkpoint(model, trial)
        except Exception as error:
            if not is_write_failure(error):
                raise
            step = self.state.global_step
            free = shutil.disk_usage(self.args.output_dir).free
            shutil.rmtree(Path(self.args.output_dir) / f"checkpoint-{step}", ignore_errors=True)
            raise UserError(
                f"--output-dir {self.args.output_dir}: the checkpoint of step {step} cannot be written "
                f"({free / 1e6:,.0f} MB were free; {first_line(error)}); make room and go on with "
                "--resume"
            ) from error


def _outlive_sigterm(init: Callable[[int], None] | None, worker: int) -> None:
    """Begins a worker of a `DataLoader`: launchers and machines that go down send SIGTERM to all processes of
    a run, and without its workers a step cannot be finished.

    Args:
        init: what the worker began with otherwise.
    """
    if init:
        init(worker)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_for_parent, daemon=True).start()


def _end_for_parent() -> None:
    """An interpreter that ends with workers left sends them SIGTERM, and waits for their end."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != multiprocessing.parent_process().pid:
        pass
    os._exit(0)
