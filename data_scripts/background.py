"""Work in a process of its own, while this one goes on."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from tqdm import tqdm

from chat.cli import UserError


@contextmanager
def in_process(function: Callable, *arguments: Any) -> Iterator[Callable[[], Any]]:
    """Begins `function(*arguments)` in a process of its own; yields a function that waits for the result.

    An exception of `function` is raised where the result is waited for. Leaving the block ends the process.

    Raises:
        UserError: when waiting, the process was killed.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_work, args=(sender, function, arguments), daemon=True)
    process.start()
    # While this process holds the sending end too, the death of the other one would not end the waiting.
    sender.close()

    def wait() -> Any:
        try:
            result, error = receiver.recv()
        except EOFError:
            raise UserError(
                "--num-proc: a process that read a corpus was killed (not enough memory?); give --num-proc 1"
            ) from None
        if error is not None:
            raise error
        return result

    try:
        yield wait
    finally:
        process.terminate()
        process.join()
        receiver.close()


def _work(sender: Connection, function: Callable, arguments: tuple) -> None:
    # Ctrl-C reaches the whole group, and the parent alone answers it: it ends this process, which then
    # removes its temporary files.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    _have_own_bars()
    try:
        answer = (function(*arguments), None)
    except Exception as error:
        error.add_note(traceback.format_exc())
        answer = (None, error)
    sender.send(answer)


def _have_own_bars() -> None:
    """The lock of tqdm's bars is one for all processes; ended while it holds that, this process would leave
    the others waiting for ever."""
    lock, classes = threading.RLock(), [tqdm]
    for each in classes:
        each.set_lock(lock)
        classes += each.__subclasses__()


@contextmanager
def collector_paused() -> Iterator[None]:
    """Python's collector of reference cycles rests in the block, and does its work once after it.

    ConvoKit makes millions of objects that all stay. Looking through them again and again for what could be
    freed is nearly half of the time that it takes to load Cornell.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        if was_enabled:
            gc.enable()
