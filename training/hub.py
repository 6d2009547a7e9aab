"""A run on the Hub: checkpoints on a branch of their own while it trains, the model on `main` at its end.

The branch holds what --output-dir holds: the newest checkpoints and the best, so that another machine can go
on exactly. `main` never holds a half-trained model.
"""

from __future__ import annotations

import logging
import re
import shutil
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from transformers import TrainerCallback

from chat.cli import UserError
from chat.folders import link_or_copy
from chat.hub.background import NewestPush, Push
from chat.hub.cards import refuse_anothers
from chat.hub.publishing import ATTEMPTS, additions_of, commit_files, persistently, publish_model
from chat.hub.repositories import (
    Destination,
    check_tag_is_free,
    download,
    files_on,
    make,
    make_branch,
    make_ready,
    tried,
)
from chat.model_files import TRAIN_ARGUMENTS_FILE, TRAINER_STATE_FILE
from training.checkpoints import checkpoints, is_whole, last_whole_checkpoint, step_of
from training.resuming import AGAIN
from training.runs import RUN_FILE, Run, run_of

if TYPE_CHECKING:
    from training.arguments import TrainArguments

logger = logging.getLogger(__name__)
BRANCH = "checkpoints"
OURS = ("checkpoint-*/*",)
STATE = rf"checkpoint-(\d+)/{re.escape(TRAINER_STATE_FILE)}"
# Pickled arguments, with this machine's paths; nothing reads them.
NOT_PUSHED = ("*/training_args.bin",)
SNAPSHOTS = ".pushing"
DOWNLOAD = ".from-hub"


class OtherRunError(UserError):
    """The Hub holds another run."""


def begin(arguments: TrainArguments, destination: Destination) -> bool:
    """Before the work: the repository is made, and holds no other run, or gives its checkpoints to this one.

    Returns:
        Whether the repository is this run's; else the Hub could not be asked, and is to be asked again.

    Raises:
        UserError: nothing can be pushed there, or it holds another run, or the tag that is to be set.
    """
    failure = make_ready(destination) or tried(
        lambda: _refuse_what_is_taken(arguments, destination), destination
    )
    if failure:
        logger.warning("%s: %s; the run goes on, and tries again", destination, failure.reason)
    if arguments.resume:
        fetch_checkpoints(destination, arguments.output_dir)
    return not failure


def _refuse_what_is_taken(arguments: TrainArguments, destination: Destination) -> None:
    """Raises UserError where what is there would be replaced, or could not be, and what the client raises."""
    here = last_whole_checkpoint(arguments.output_dir) if arguments.resume else None
    if here or not arguments.resume:
        refuse_other_run(destination, here)
    # Of a run that has pushed its model, and is resumed at its end, the tag is on that.
    if arguments.hub_tag and not arguments.resume:
        check_tag_is_free(destination, arguments.hub_tag)
    _refuse_model(destination)


def _refuse_model(destination: Destination) -> None:
    """Raises UserError where `main` holds what no model of ours can take the place of."""
    from eval.card_rendering import OWN_PART

    refuse_anothers(destination, OWN_PART.begin)


class PushCheckpoints(TrainerCallback):
    """Pushes the checkpoints after each save, off the training thread; to stand after what deletes old ones.

    What is pushed are hard links: checkpoints may be deleted meanwhile, and nothing is copied.

    Attributes:
        has_begun: the branch is this run's; else the Hub has not been asked yet, or holds another run.
    """

    def __init__(
        self,
        destination: Destination,
        output_dir: str,
        every_minutes: float,
        resumed: Path | None,
        is_ours: bool = False,
    ):
        """
        Args:
            every_minutes: between two pushes, at least.
            resumed: the checkpoint that the run goes on from. What has not come to the Hub before is pushed
                at once.
            is_ours: whether the Hub was asked, and holds no other run.
        """
        self.destination, self.output_dir = destination, Path(output_dir)
        self._is_resumed = resumed is not None
        self.has_begun = is_ours and self._is_resumed
        self._pushed: set[str] = set()
        shutil.rmtree(self.output_dir / SNAPSHOTS, ignore_errors=True)
        self._pushes = NewestPush(destination, 60 * every_minutes)
        if resumed:
            self._push(step_of(resumed))

    def on_save(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            self._push(state.global_step)

    def _push(self, step: int) -> None:
        try:
            self._submit(step)
        except OSError as error:
            logger.warning("%s: the checkpoint of step %d is not pushed (%s)", self.destination, step, error)

    def _submit(self, step: int) -> None:
        folder = self.output_dir / SNAPSHOTS / str(step)
        shutil.rmtree(folder, ignore_errors=True)
        for checkpoint in filter(is_whole, checkpoints(self.output_dir)):
            shutil.copytree(checkpoint, folder / checkpoint.name, copy_function=link_or_copy)
        shutil.copyfile(self.output_dir / TRAIN_ARGUMENTS_FILE, folder / TRAIN_ARGUMENTS_FILE)
        self._pushes.submit(
            Push(
                f"the checkpoint of step {step}",
                action=lambda: self._commit(folder, step),
                discard=lambda: shutil.rmtree(folder, ignore_errors=True),
            )
        )

    def _commit(self, folder: Path, step: int) -> None:
        """One commit after which the branch holds the folder's checkpoints and no others."""
        make(self.destination)
        if not self.has_begun:
            # At the start the Hub may have been out of reach.
            _refuse_model(self.destination)
            refuse_other_run(
                self.destination, last_whole_checkpoint(self.output_dir) if self._is_resumed else None
            )
        make_branch(self.destination, BRANCH)
        self.has_begun = True
        steps = steps_on_hub(self.destination)
        if steps and steps[-1] > step:
            raise UserError(
                f"{self.destination}: holds the checkpoint of step {steps[-1]}, another process goes on with "
                f"this run; end one of them, and go on by --resume"
            )
        # Somebody may have deleted the branch or the repository meanwhile.
        self._pushed &= {f"checkpoint-{each}" for each in steps}
        names = {path.name for path in folder.iterdir() if path.is_dir()}
        there = [f"{name}/*" for name in names & self._pushed]
        commit_files(
            self.destination,
            additions_of(folder, ignore=(*NOT_PUSHED, *there)),
            message=f"Checkpoint of step {step}",
            ours=OURS,
            but=there,
            revision=BRANCH,
        )
        self._pushed = names

    def close(self, attempts: int = ATTEMPTS) -> None:
        """Pushes what has not been pushed; says so where that fails."""
        if failure := self._pushes.close(attempts):
            logger.warning(
                "%s: the last checkpoint is not on the Hub, but whole in %s (%s); %s",
                self.destination,
                self.output_dir,
                failure.reason,
                failure.remedy,
            )


def steps_on_hub(destination: Destination) -> list[int]:
    """The steps of the checkpoints that the Hub has, in order; raises what the Hub's client raises."""
    states = (re.fullmatch(STATE, path) for path in files_on(destination, BRANCH))
    return sorted(int(state[1]) for state in states if state)


def refuse_other_run(destination: Destination, here: Path | None) -> list[int]:
    """The steps of the checkpoints that the Hub has of this run.

    Args:
        here: this run's newest checkpoint, where it goes on from one; to a new run all others are another's.

    Raises:
        OtherRunError: it has checkpoints that this run would replace.
    """
    steps = steps_on_hub(destination)
    if steps and here is None:
        raise OtherRunError(
            f"{destination}: holds checkpoints of an earlier run, up to step {steps[-1]}; go on with it by "
            f"--resume, name another repository, or delete them by `hf repos branch delete "
            f"{destination.repo_id} {BRANCH}`"
        )
    if steps and not _run_on_hub(destination, steps[-1]).may_be(run_of(here)):
        raise OtherRunError(
            f"{destination}: holds another run (to step {steps[-1]}) than --output-dir {here.parent} (to "
            f"step {step_of(here)}); name another repository, or another --output-dir to go on with that run"
        )
    return steps


def _run_on_hub(destination: Destination, step: int) -> Run:
    with TemporaryDirectory() as folder:
        names = [f"checkpoint-{step}/{name}" for name in (RUN_FILE, TRAINER_STATE_FILE)]
        download(destination, BRANCH, Path(folder), allow=names)
        return run_of(Path(folder) / f"checkpoint-{step}")


def fetch_checkpoints(destination: Destination, output_dir: str) -> None:
    """Brings the Hub's checkpoints into --output-dir, unless it has as new ones itself.

    Raises:
        UserError: the Hub cannot be asked, and there is no checkpoint to go on from here; or it holds
            another run than --output-dir.
    """
    here = last_whole_checkpoint(output_dir)

    def fetch() -> None:
        steps = refuse_other_run(destination, here) if here else steps_on_hub(destination)
        if steps and (here is None or steps[-1] > step_of(here)):
            logger.info("%s: fetching its checkpoints, up to step %d", destination, steps[-1])
            _fetch(destination, Path(output_dir))

    try:
        persistently(fetch, destination, undone="its checkpoints are not here")
    except OtherRunError:
        raise
    except UserError as error:
        if here is None:
            raise
        logger.warning("%s; going on from %s", error, here)


def _fetch(destination: Destination, output_dir: Path) -> None:
    """Downloads beside the checkpoints and moves each to its place whole, the newest last."""
    fetched = output_dir / DOWNLOAD
    download(destination, BRANCH, fetched, allow=(*OURS, TRAIN_ARGUMENTS_FILE))
    if (fetched / TRAIN_ARGUMENTS_FILE).is_file():
        # By which the newest checkpoint was trained.
        (fetched / TRAIN_ARGUMENTS_FILE).replace(output_dir / TRAIN_ARGUMENTS_FILE)
    for checkpoint in filter(is_whole, checkpoints(fetched)):
        place = output_dir / checkpoint.name
        if not is_whole(place):
            shutil.rmtree(place, ignore_errors=True)
            checkpoint.rename(place)
    shutil.rmtree(fetched, ignore_errors=True)


def publish_final_model(
    arguments: TrainArguments, destination: Destination, is_ours: bool, step: int
) -> None:
    """The trained model to `main`, with a card; tagged where asked.

    Args:
        is_ours: whether the checkpoints there were found to be this run's; else that is asked now.

    Raises:
        UserError: it is not on the Hub, and why; the folder is whole.
    """
    from eval.card_rendering import write_card_without_results
    from eval.publish_card import merge_without_results

    def refuse() -> None:
        make(destination)
        try:
            if is_ours:
                _refuse_model(destination)
            else:
                _refuse_what_is_taken(arguments, destination)
        except UserError as error:
            raise UserError(f"{error}; {undone}; {AGAIN}, and with what is free") from error

    undone = f"{arguments.final_model_dir} is not on the Hub, but whole on this machine"
    persistently(refuse, destination, undone=undone, again=AGAIN)
    write_card_without_results(arguments.final_model_dir, destination.repo_id)
    publish_model(
        arguments.final_model_dir,
        destination,
        message=f"Model of step {step}",
        tag=arguments.hub_tag,
        again=AGAIN,
        merge_card=partial(merge_without_results, Path(arguments.final_model_dir), destination),
    )
