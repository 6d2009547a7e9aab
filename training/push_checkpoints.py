"""Pushes a run's checkpoints to the Hub while it trains, and what is left of them at its end."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from transformers import TrainerCallback

from chat.cli import UserError
from chat.folders import link_or_copy
from chat.hub.background import NewestPush, Push
from chat.hub.publishing import ATTEMPTS, additions_of, commit_files
from chat.hub.repositories import Destination, make, make_branch
from chat.model_files import TRAIN_ARGUMENTS_FILE
from training.checkpoints import checkpoints, is_whole, last_whole_checkpoint, step_of
from training.hub import BRANCH, OURS, refuse_another_model, refuse_other_run, steps_on_hub

logger = logging.getLogger(__name__)
# Pickled arguments, with this machine's paths; nothing reads them.
NOT_PUSHED = ("*/training_args.bin",)
SNAPSHOTS = ".pushing"


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
            refuse_another_model(self.destination)
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
