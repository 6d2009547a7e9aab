"""What a forked process must not destroy: the wait for threads that only its parent has would never end."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import TypeVar

Kept = TypeVar("Kept")
_kept: weakref.WeakSet = weakref.WeakSet()


def kept_in_forks(given: Kept) -> Kept:
    """Returns what it is given, such as a pipeline; no process forked from this one ever destroys it."""
    _kept.add(given)
    return given


def _keep() -> None:
    for each in list(_kept):
        # Not even the interpreter's end lets go of this reference.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))


# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep)
