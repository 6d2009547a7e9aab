"""What an engine and the check of an export both need of a model that is compiled for the CPU."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

Result = TypeVar("Result")

MODEL_FILE = "openvino_model.xml"


def in_a_passing_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """`function(*arguments)`, called in a thread that then ends; for whatever compiles for the CPU.

    OpenVINO's CPU plugin gives the calling thread a signal stack of its own. Of two plugins the one that goes
    last puts back the stack of the other, which is gone: the next signal, such as Ctrl-C, would crash us.
    """
    with ThreadPoolExecutor(1) as passing:
        return passing.submit(function, *arguments).result()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, in float64."""
    import torch

    return torch.from_numpy(logits).double().log_softmax(-1).numpy()
