"""Work of an evaluation in batches, spread over the processes of `accelerate launch`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from tqdm.auto import tqdm

from chat.devices import uses_cpu

if TYPE_CHECKING:
    from accelerate import PartialState

MAX_BATCH_TOKENS = 4096
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


def by_length(lengths: Sequence[int]) -> list[list[int]]:
    """Indices of the sequences in batches, the longest first: memory runs out at once or not at all."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        longest = lengths[batches[-1][0]] if batches else 0
        if batches and longest * (len(batches[-1]) + 1) <= MAX_BATCH_TOKENS:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def in_batches(
    lengths: Sequence[int], score: Callable[[list[int]], list[Result]], description: str
) -> list[Result]:
    """What `score` gives for each sequence, in their order.

    Args:
        lengths: of the sequences, in tokens.
        score: takes the indices of a batch; batching must not change what it gives.
    """
    results: dict[int, Result] = {}
    for batch, found in spread(by_length(lengths), score, description):
        results.update(zip(batch, found, strict=True))
    return [results[index] for index in range(len(lengths))]
