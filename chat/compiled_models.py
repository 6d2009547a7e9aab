"""What a model that OpenVINO compiles for the CPU needs of this process, and of its forks."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result, Kept = TypeVar("Result"), TypeVar("Kept")
_kept: weakref.WeakSet = weakref.WeakSet()


def in_a_passing_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """`function(*arguments)`, called in a thread that then ends; for whatever compiles for the CPU.

    OpenVINO's CPU plugin gives the calling thread a signal stack of its own. Of two plugins the one that goes
    last puts back the stack of the other, which is gone: the next signal, such as Ctrl-C, would crash us.
    """
    with ThreadPoolExecutor(1) as passing:
        return passing.submit(function, *arguments).result()


def kept_in_forks(given: Kept) -> Kept:
    """Returns what it is given, such as a pipeline; no process forked from this one ever destroys it.

    It would wait for threads that only its parent has, and never end.
    """
    _kept.add(given)
    return given


def _keep() -> None:
    for each in list(_kept):
        # Not even the interpreter's end lets go of this reference.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))


# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep)
