"""Training processes that tests start: to die at a given moment, to write gradients, to fill the disk.

python -m tests.training.workers killed  '{"moment": "step", "count": 7, "arguments": {...}}'
python -m tests.training.workers gradients '{"output": "folder", "arguments": {...}}'
python -m tests.training.workers 'full disk' '{"step": 3, "arguments": {...}}'
python -m tests.training.workers 'own disks' '{"arguments": {...}}'
python -m tests.training.workers divided '{"arguments": {...}}'
"""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import torch
from accelerate import DistributedType, PartialState
from transformers import TrainerCallback

from chat.cli import run
from tests.processes import python, started
from training.arguments import TrainArguments
from training.train import build_trainer, train
from training.trainer import DialogueTrainer

# Of so many processes, what follows `python`.
LAUNCHERS = {1: ["-m"], 2: ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]}


def run_worker(kind: str, processes: int = 1, **options) -> subprocess.CompletedProcess:
    """Runs a worker of `tests.training.workers` to its end."""
    worker = ("tests.training.workers", kind, json.dumps(options))
    return python(*LAUNCHERS[processes], *worker, timeout=240)


def stopped_by_sigterm(module: str, *flags: object) -> None:
    """A command that trains without an end in sight, told by SIGTERM to stop once it has logged a loss."""
    with started("-m", module, *flags, environment={"PYTHONUNBUFFERED": "1"}) as process:
        said = ""
        for line in process.stdout:
            said += line
            if "'loss'" in line:
                break
        process.send_signal(signal.SIGTERM)
        said += process.communicate(timeout=60)[0]
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "stopped by SIGTERM at step" in said and "go on with --resume" in said


def dies(function, count: int, after: bool = False, half_way: bool = False):
    """The function, whose process is killed as by `kill -9` at its call number `count`: before it or `after`
    it, or `half_way`, with half of the file that its second argument names.
    """
    calls = 0

    def counted(*arguments, **options):
        nonlocal calls
        calls += 1
        result = function(*arguments, **options) if after or half_way or calls < count else None
        if calls == count:
            if half_way:
                os.truncate(arguments[1], os.path.getsize(arguments[1]) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return counted


def killed(moment: str, count: int, arguments: dict) -> None:
    places = {
        "step": (DialogueTrainer, "training_step", {"after": True}),
        "evaluation": (DialogueTrainer, "prediction_step", {}),
        "save": (DialogueTrainer, "_save_rng_state", {}),
        "optimizer file": (torch, "save", {"half_way": True}),
        "epoch": (DialogueTrainer, "_save_checkpoint", {"after": True}),
    }
    place, name, when = places[moment]
    setattr(place, name, dies(getattr(place, name), count, **when))
    train(TrainArguments(**arguments))


class KeepGradients(TrainerCallback):
    def __init__(self, output: str):
        self.output = Path(output)

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        rank = args.process_index
        gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
        torch.save(
            {"world_size": torch.distributed.get_world_size() if args.world_size > 1 else 1, **gradients},
            self.output / f"{rank}.pt",
        )


def gradients(output: str, arguments: dict) -> None:
    trainer = build_trainer(TrainArguments(**arguments))
    trainer.add_callback(KeepGradients(output))
    trainer.train()


class FullDisk(TrainerCallback):
    """From a given step on, no file may grow beyond a few KB: writes fail as they do on a full disk."""

    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))


def full_disk(step: int, arguments: dict) -> None:
    trainer = build_trainer(TrainArguments(**arguments))
    trainer.add_callback(FullDisk(step))
    trainer.train()


def own_disks(arguments: dict) -> None:
    """As on machines that share no disk: each process has an --output-dir and --data of its own."""
    for name in ("output_dir", "data"):
        arguments[name] += f"-{os.environ['RANK']}"
    train(TrainArguments(**arguments))


def divided(arguments: dict) -> None:
    """On the CPU, for which Accelerate has no FSDP: its processes take themselves for those of GPUs."""
    # Set by the import of `tests.conftest`.
    del os.environ["ACCELERATE_USE_CPU"]
    begin = PartialState.__init__

    def begin_as_on_gpus(self, *given, **named):
        begin(self, *given, **named)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    if "ACCELERATE_USE_FSDP" in os.environ:
        PartialState.__init__ = begin_as_on_gpus
    else:
        import deepspeed.ops

        # By gloo alone: DeepSpeed would compile messages of its own for the CPU, for minutes.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    train(TrainArguments(**arguments))


WORKERS = {
    "killed": killed,
    "gradients": gradients,
    "full disk": full_disk,
    "own disks": own_disks,
    "divided": divided,
}

if __name__ == "__main__":
    worker = WORKERS[sys.argv[1]]
    run(lambda: worker(**json.loads(sys.argv[2])))
