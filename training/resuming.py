"""How a run is broken off and goes on: its arguments, kept beside what it made, and its checkpoints."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from chat.cli import UserError
from chat.folders import gone_if_empty, locked, not_writable, write_whole
from chat.hub import publishing
from chat.model_files import FREE_TO_CHANGE, TRAIN_ARGUMENTS_FILE
from training.checkpoints import (
    check_same_model,
    check_undamaged,
    checkpoints,
    discard_halves,
    is_whole,
    last_whole_checkpoint,
    not_whole,
)
from training.data_digest import check_same_data

if TYPE_CHECKING:
    from training.arguments import TrainArguments
    from training.prefer_arguments import PreferArguments
    from training.resumable_trainer import ResumableTrainer

logger = logging.getLogger(__name__)
Arguments = TypeVar("Arguments", "TrainArguments", "PreferArguments")

LOCK_FILE = ".lock"
# Each process has saved one.
RANDOM_STATES = "rng_state*.pth"
# How a run that is at its end, and whole in its checkpoints, does again what comes after that.
AGAIN = f"{publishing.AGAIN} with --resume, which trains no further step"
# What a checkpoint's optimizer and schedule hold themselves.
KEPT_BY_CHECKPOINT = ("learning_rate", "weight_decay")
# Whoever trains by kept arguments again begins anew, and pushes nowhere.
NOT_KEPT = {"resume": False, "push_to_hub": None, "hub_public": False, "hub_tag": None}


def save(arguments: TrainArguments | PreferArguments, folder: str | Path) -> None:
    """Writes the arguments beside what they made, as the file of their kind."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    kept = {name: NOT_KEPT.get(name, value) for name, value in asdict(arguments).items()}
    # A run that cannot be written or is killed goes on by what was there.
    write_whole(Path(folder) / arguments.FILE, f"{json.dumps(kept, indent=2)}\n".encode())


def is_first_process() -> bool:
    """Whether it is the one that writes for all processes of a run, which need not have met yet."""
    from accelerate.utils import get_cpu_distributed_information

    # Which reads what launchers of all kinds, torchrun and those of MPI, tell a process.
    return get_cpu_distributed_information().rank == 0


@contextmanager
def alone(output_dir: str) -> Iterator[None]:
    """Keeps --output-dir from other runs while the block lasts; a process that is killed keeps it no longer.

    Raises:
        UserError: another run has it, such as one that outlived its launcher, or it cannot be written.
    """
    if not is_first_process():
        yield
        return
    folder = Path(output_dir)
    taken = (
        f"--output-dir {output_dir}: another process trains there, perhaps one whose launcher was "
        "killed; wait for its end or end it, or give another folder"
    )
    with ExitStack() as held:
        try:
            # Empty where the run was refused before it wrote anything.
            held.enter_context(gone_if_empty(folder))
            held.enter_context(locked(folder / LOCK_FILE, taken))
        except OSError as error:
            raise not_writable(output_dir, "--output-dir", error) from None
        try:
            yield
        except KeyboardInterrupt:
            last = last_whole_checkpoint(output_dir)
            kept = f"--resume goes on from {last.name}" if last else "there is no checkpoint yet"
            logger.info("Ctrl-C saves nothing; SIGTERM (`kill`) would have: %s", kept)
            raise


def refuse_earlier_run(output_dir: str) -> None:
    """Raises UserError where --output-dir has checkpoints, and --resume was not given."""
    found = checkpoints(output_dir)
    # On other machines, without a shared disk, are the parts that their own processes saved.
    if any(found if is_first_process() else map(is_whole, found)):
        raise UserError(
            f"--output-dir {output_dir}: holds checkpoints of an earlier run; go on with it by --resume, or "
            "give another folder"
        )


def going_on(arguments: Arguments) -> tuple[Arguments, Path | None]:
    """The arguments by which the run goes on, and the checkpoint that it goes on from, the last whole one;
    None at a beginning. Halves of others are removed.

    Raises:
        UserError: as of `as_resumed`.
    """
    if not arguments.resume:
        return arguments, None
    output_dir = arguments.output_dir
    if is_first_process():
        discard_halves(output_dir)
    checkpoint = last_whole_checkpoint(output_dir)
    if checkpoint is None:
        logger.warning("--resume: no whole checkpoint in %s, starting from the beginning", output_dir)
        return arguments, None
    return as_resumed(arguments), checkpoint


def check_and_save(trainer: ResumableTrainer, arguments: Arguments, checkpoint: Path | None) -> None:
    """Checks that the run may go on from the checkpoint, if there is one, and keeps the arguments in
    --output-dir.

    Raises:
        UserError: it may not, its processes read different data, or the arguments cannot be written.
    """
    _check_same_data_everywhere(trainer.data_digests)
    _check_resumable(checkpoint, trainer)
    if trainer.is_world_process_zero():
        try:
            save(arguments, arguments.output_dir)
        except OSError as error:
            raise UserError(
                f"--output-dir {arguments.output_dir}: cannot be written ({error.strerror}); make room, or "
                "give another folder"
            ) from error


def as_resumed(arguments: Arguments) -> Arguments:
    """The arguments as the run in their --output-dir goes on with them; warns of what makes it another run.

    Raises:
        UserError: another optimizer, which cannot go on from the state of the first.
    """
    try:
        before = json.loads((Path(arguments.output_dir) / arguments.FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = None
    if not isinstance(before, dict):
        return arguments
    tell = logger.warning if is_first_process() else logger.debug
    for name, value in asdict(arguments).items():
        was = before.get(name, value)
        # A path may be another one of the same data, no data is not the same.
        is_free = name in FREE_TO_CHANGE and not (name == "data" and None in (was, value))
        if is_free or was == value:
            continue
        flag = f"--{name.replace('_', '-')}"
        if name == "optimizer":
            raise UserError(
                f"{flag} {value}: the run to resume has {was}; give that, or another --output-dir"
            )
        if name in KEPT_BY_CHECKPOINT:
            tell("--resume: %s %s: the checkpoint goes on with %s", flag, value, was)
            continue
        # Preferences are measured against the base itself.
        is_replaced = name == "base" and arguments.FILE == TRAIN_ARGUMENTS_FILE
        goes_on = "checkpoint's weights" if is_replaced else "new value and will not end as an unbroken one"
        tell("--resume: %s was %s and is %s now: the run goes on with the %s", flag, was, value, goes_on)
    return replace(arguments, **{name: before[name] for name in KEPT_BY_CHECKPOINT if name in before})


def _check_resumable(checkpoint: Path | None, trainer: ResumableTrainer) -> None:
    """
    Raises:
        UserError: the processes of the run find different checkpoints, or one that is damaged, of another
            model, of other data, or of a run of another number of processes, whose steps would be other
            parts of an epoch.
    """
    from accelerate import PartialState

    _check_same_everywhere(checkpoint)
    if checkpoint:
        before, now = len([*checkpoint.glob(RANDOM_STATES)]), PartialState().num_processes
        if before == 0:
            raise not_whole(checkpoint, f"no {RANDOM_STATES}")
        if before != now:
            raise UserError(
                f"--resume: {checkpoint} is of a run of {before} processes, and this one has {now}; launch "
                f"{before}, or begin anew in another --output-dir"
            )
        check_undamaged(checkpoint, trainer)
        check_same_model(checkpoint, trainer.model)
        check_same_data(checkpoint, trainer.data_digests)
        if trainer.is_world_process_zero():
            logger.info("resuming from %s", checkpoint)


def _check_same_data_everywhere(digests: dict[str, str]) -> None:
    """Raises UserError where the processes read different data: each would take its part of another epoch."""
    from accelerate.utils import gather_object

    for flag, digest in digests.items():
        if len({*gather_object([digest])}) > 1:
            raise UserError(
                f"{flag}: the processes read different data; prepare it once, and give all machines the same"
            )


def _check_same_everywhere(checkpoint: Path | None) -> None:
    """Raises UserError where the processes of a run, on several machines, find different checkpoints."""
    from accelerate.utils import gather_object

    found = gather_object([checkpoint.name if checkpoint else "none"])
    if len(set(found)) > 1:
        raise UserError(
            f"--resume: the processes find different checkpoints in --output-dir ({', '.join(found)}); give "
            "all the same command, and a folder on a disk that they share"
        )


def exit_if_stopped(trainer: ResumableTrainer) -> None:
    """Ends the process as SIGTERM would have, where SIGTERM stopped the training."""
    if trainer.stopped_at_step is not None:
        if trainer.is_world_process_zero():
            logger.info(
                "stopped by SIGTERM at step %d, saved in %s; go on with --resume",
                trainer.stopped_at_step,
                trainer.args.output_dir,
            )
        sys.exit(128 + signal.SIGTERM)
