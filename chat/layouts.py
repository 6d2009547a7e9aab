"""Whether a model reads sequences that share a row as it reads each of them alone.

Rows are shared to compute less, and it is masks and positions that keep the sequences of one apart. Not every
architecture heeds them: convolutions and recurrences run on over the border, a local window may count places
in the row, a mask of one's own may take the window away. What a kind of model is called does not tell, nor do
its arguments, so this is found out by computing.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from chat.best_of import log_probs_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)


def reads_as_alone(
    model: PreTrainedModel, together: Callable[[], list[torch.Tensor]], alone: Sequence[Sequence[int]]
) -> bool:
    """Whether tokens are as likely in shared rows as where each sequence has a row of its own.

    The main process finds it out and tells the others, so that all go on alike. Neither the model's mode nor
    the random state changes.

    Args:
        together: log P of the last tokens of each sequence, in nats, computed in shared rows. An error in it
            is a no, unless it comes with a sequence alone, too.
        alone: ids of the sequences.
    """
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    with _whole_weights(model), _as_it_replies(model):
        agrees = PartialState().is_main_process and _agrees(model, together, alone)
    return broadcast_object_list([agrees])[0]


def takes_logits_to_keep(model: PreTrainedModel) -> bool:
    """Whether the model can compute the logits of some positions only."""
    return "logits_to_keep" in inspect.signature(model.forward).parameters


def _agrees(
    model: PreTrainedModel, together: Callable[[], list[torch.Tensor]], alone: Sequence[Sequence[int]]
) -> bool:
    try:
        expected = [_log_probs(model, ids) for ids in alone]
    except torch.OutOfMemoryError:
        raise
    except Exception:
        # As kernels of a GPU do, to which the model has not been moved: no layout is to blame for that.
        logger.debug("%s cannot compute here", model.config.model_type, exc_info=True)
        return True
    try:
        found = [log_probs.cpu() for log_probs in together()]
    except torch.OutOfMemoryError:
        raise
    except Exception:
        logger.debug("%s cannot compute shared rows", model.config.model_type, exc_info=True)
        return False
    expected = [each[-len(of_last) :].cpu() for each, of_last in zip(expected, found, strict=True)]
    found, expected = torch.cat(found), torch.cat(expected)
    return torch.allclose(found, expected, rtol=0, atol=_tolerance(expected, model.dtype), equal_nan=True)


def _tolerance(log_probs: torch.Tensor, dtype: torch.dtype) -> float:
    """In nats: what is no rounding is seen in random weights, too, whose log P hardly differ.

    Rounding adds up to far less than the square root of a dtype's resolution, by which one chooses between
    the two in numerics; a share of how far log P spread, as their level is that of the vocabulary's size.
    """
    spread = log_probs.std().nan_to_num().item() if len(log_probs) > 1 else 1.0
    return torch.finfo(dtype).eps ** 0.5 * spread


def _log_probs(model: PreTrainedModel, ids: Sequence[int]) -> torch.Tensor:
    """Of each token but the first, given those before it; shape (tokens - 1,)."""
    row = torch.tensor([list(ids)], device=model.device)
    return log_probs_of(row, model(input_ids=row).logits)[0]


@contextlib.contextmanager
def _as_it_replies(model: PreTrainedModel) -> Iterator[None]:
    """Without dropout, gradients and cache; not in inference mode, whose buffers cannot be trained with."""
    was_training, used_cache = model.training, getattr(model.config, "use_cache", False)
    model.eval()
    if used_cache:
        model.config.use_cache = False
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        model.train(was_training)
        if used_cache:
            model.config.use_cache = True


def _whole_weights(model: PreTrainedModel) -> contextlib.AbstractContextManager[Any]:
    """DeepSpeed's ZeRO-3 leaves each process a part of the weights, from when they are loaded."""
    from transformers.integrations import is_deepspeed_zero3_enabled

    if not is_deepspeed_zero3_enabled():
        return contextlib.nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters(list(model.parameters()))
