"""What SIGTERM does to a run, in the midst of it and at its end."""

import multiprocessing
import os
import subprocess
from types import SimpleNamespace

import pytest
from transformers import TrainerCallback

from training.callbacks import StopOnSigterm
from training.train import build_trainer


def told_to_stop(step: int, max_steps: int) -> tuple[StopOnSigterm, SimpleNamespace, SimpleNamespace]:
    """The callback after a step in which SIGTERM came, the Trainer's arguments, and its control."""
    stop = StopOnSigterm()
    stop.received = True
    arguments = SimpleNamespace(world_size=1, load_best_model_at_end=True)
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    stop.on_step_end(arguments, SimpleNamespace(global_step=step, max_steps=max_steps), control)
    return stop, arguments, control


def test_a_run_in_its_midst_saves_and_stops_without_its_best_model():
    stop, arguments, control = told_to_stop(step=4, max_steps=5)
    assert stop.stopped_at_step == 4 and control.should_save and control.should_training_stop
    assert not arguments.load_best_model_at_end


def test_a_run_at_its_last_step_ends_as_it_would_have():
    stop, arguments, control = told_to_stop(step=5, max_steps=5)
    assert stop.stopped_at_step is None and arguments.load_best_model_at_end
    assert not control.should_save and not control.should_training_stop


def workers() -> list[int]:
    return [process.pid for process in multiprocessing.active_children()]


def told_by_another(*processes: int) -> None:
    """SIGTERM as launchers send it, from a process of their own."""
    subprocess.run(["kill", "-TERM", *map(str, processes)], check=True)


class ToldToStop(TrainerCallback):
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 1:
            told_by_another(*workers(), os.getpid())


def test_a_run_saves_where_sigterm_comes_to_the_processes_that_collate_too(short_run, tmp_path):
    trainer = build_trainer(short_run(dataloader_num_workers=1, eval_every_steps=50, save_every_steps=50))
    trainer.add_callback(ToldToStop())
    trainer.train()
    assert trainer.stopped_at_step == 2 and (tmp_path / "run" / "checkpoint-2").is_dir()


@pytest.mark.parametrize("kind", ["train", "eval"])
def test_a_process_that_collates_ends_with_its_parent_and_by_nobody_else(short_run, kind):
    trainer = build_trainer(short_run(dataloader_num_workers=1))
    batches = iter(getattr(trainer, f"get_{kind}_dataloader")())
    next(batches)
    [worker] = multiprocessing.active_children()
    told_by_another(worker.pid)
    worker.join(0.5)
    assert worker.is_alive()
    worker.terminate()
    worker.join(5)
    assert worker.exitcode == 0
