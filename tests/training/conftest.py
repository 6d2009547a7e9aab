"""A training run of seconds: tiny model, sample data, a checkpoint every other step."""

import shlex
from dataclasses import asdict

import pytest

from chat.cli import command_line
from training.arguments import TrainArguments


def flags_of(arguments: TrainArguments) -> list[str]:
    """What follows `python` to train by these arguments."""
    return shlex.split(command_line("training.train", TrainArguments, asdict(arguments)))[1:]


@pytest.fixture
def short_run(tmp_path, prepared, tiny_config_file):
    """A function: the arguments of a run of six steps, in this test's own folders; of several, by name."""

    def build(name: str = "", **changes) -> TrainArguments:
        settings = {
            "data": str(prepared),
            "base": str(tiny_config_file),
            "output_dir": str(tmp_path / name / "run"),
            "final_model_dir": str(tmp_path / name / "final"),
            "max_steps": 6,
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-3,
            "eval_every_steps": 3,
            # Of 55, whose loss takes longer than the steps before it; two batches, the second not full.
            "max_eval_sequences": 20,
            "save_every_steps": 2,
            "save_total_limit": 4,
            "log_every_steps": 1,
            "tensorboard": False,
        }
        return TrainArguments(**settings | changes)

    return build
