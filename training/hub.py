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

from chat.cli import UserError
from chat.hub.cards import refuse_anothers
from chat.hub.publishing import persistently, publish_model
from chat.hub.repositories import (
    Destination,
    check_tag_is_free,
    download,
    files_on,
    make,
    make_ready,
)
from chat.model_files import TRAIN_ARGUMENTS_FILE, TRAINER_STATE_FILE
from eval.card_rendering import OWN_PART, write_card_without_results
from eval.publish_card import merge_with_model
from training.checkpoints import (
    RUN_FILE,
    checkpoints,
    is_whole,
    last_whole_checkpoint,
    run_id_of,
    step_of,
)
from training.resuming import AGAIN

if TYPE_CHECKING:
    from training.arguments import TrainArguments

logger = logging.getLogger(__name__)
BRANCH = "checkpoints"
OURS = ("checkpoint-*/*",)
STATE = rf"checkpoint-(\d+)/{re.escape(TRAINER_STATE_FILE)}"
DOWNLOAD = ".from-hub"


class OtherRunError(UserError):
    """The Hub holds another run."""


def begin(arguments: TrainArguments, destination: Destination) -> bool:
    """Makes the repository, checks that it holds no other run, and on --resume fetches its checkpoints.

    Returns:
        Whether the repository is this run's; else the Hub could not be asked, and is to be asked again.

    Raises:
        UserError: nothing can be pushed there, or it holds another run, or the tag that is to be set.
    """
    if failure := make_ready(destination, lambda: _refuse_what_is_taken(arguments, destination)):
        logger.warning("%s: %s; the run goes on, and tries again", destination, failure.reason)
    if arguments.resume:
        fetch_checkpoints(destination, arguments.output_dir)
    return not failure


def _refuse_what_is_taken(arguments: TrainArguments, destination: Destination) -> None:
    """Raises UserError where another run, model or tag is there already, and what the client raises."""
    here = last_whole_checkpoint(arguments.output_dir) if arguments.resume else None
    if here or not arguments.resume:
        refuse_other_run(destination, here)
    # Of a run that has pushed its model, and is resumed at its end, the tag is on that.
    if arguments.hub_tag and not arguments.resume:
        check_tag_is_free(destination, arguments.hub_tag)
    refuse_another_model(destination)


def refuse_another_model(destination: Destination) -> None:
    """Raises UserError where `main` holds what no model of ours can take the place of."""
    refuse_anothers(destination, OWN_PART.begin)


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
    if steps and _run_id_on_hub(destination, steps[-1]) != run_id_of(here):
        raise OtherRunError(
            f"{destination}: holds another run (to step {steps[-1]}) than --output-dir {here.parent} (to "
            f"step {step_of(here)}); name another repository, or another --output-dir to go on with that run"
        )
    return steps


def _run_id_on_hub(destination: Destination, step: int) -> str | None:
    with TemporaryDirectory() as folder:
        download(destination, BRANCH, Path(folder), allow=[f"checkpoint-{step}/{RUN_FILE}"])
        return run_id_of(Path(folder) / f"checkpoint-{step}")


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
            _fetch(destination, Path(output_dir), steps)

    try:
        persistently(fetch, destination, undone="its checkpoints are not here")
    except OtherRunError:
        raise
    except UserError as error:
        if here is None:
            raise
        logger.warning("%s; going on from %s", error, here)


def _fetch(destination: Destination, output_dir: Path, steps: list[int]) -> None:
    """Downloads the checkpoints of these steps and moves each to its place whole, the newest last."""
    fetched = output_dir / DOWNLOAD
    download(destination, BRANCH, fetched, allow=(*OURS, TRAIN_ARGUMENTS_FILE))
    if (fetched / TRAIN_ARGUMENTS_FILE).is_file():
        # By which the newest checkpoint was trained.
        (fetched / TRAIN_ARGUMENTS_FILE).replace(output_dir / TRAIN_ARGUMENTS_FILE)
    for checkpoint in filter(is_whole, checkpoints(fetched)):
        place = output_dir / checkpoint.name
        # Others are left of a download that was broken off, perhaps of another run.
        if step_of(checkpoint) in steps and not is_whole(place):
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

    def refuse() -> None:
        make(destination)
        try:
            if is_ours:
                refuse_another_model(destination)
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
        merge_card=partial(merge_with_model, Path(arguments.final_model_dir), destination),
    )
