"""Work of an evaluation spread over the processes of `accelerate launch`; with one process, just a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tqdm.auto import tqdm

from chat.devices import uses_cpu

if TYPE_CHECKING:
    from accelerate import PartialState

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def this_process() -> PartialState:
    """This process among those of the launch.

    Unless it is told so, Accelerate looks for no other processes where there is no accelerator.
    """
    from accelerate import PartialState

    return PartialState(cpu=uses_cpu())


def by_first(work: Callable[[], Result]) -> Result:
    """What the first process finds while the others wait, known to every process."""
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([work() if this_process().is_main_process else None])[0]


def spread(
    batches: list[Batch], work: Callable[[Batch], Result], description: str
) -> list[tuple[Batch, Result]]:
    """Each batch with what `work` makes of it, in the order of `batches`, known to every process."""
    from accelerate.utils import gather_object

    state = this_process()
    mine = range(state.process_index, len(batches), state.num_processes)
    progress = tqdm(mine, desc=description, unit=" batches", disable=not state.is_local_main_process)
    done = [(number, work(batches[number])) for number in progress]
    everyone = sorted(gather_object(done), key=lambda item: item[0])
    return [(batches[number], result) for number, result in everyone]
