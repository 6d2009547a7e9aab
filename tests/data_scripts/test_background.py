"""Work in a process of its own: its result, its errors, its end."""

import gc
import io
import os
import signal
import time

import pytest
import tqdm.auto
import tqdm.std

from chat.cli import UserError
from data_scripts.background import collector_paused, in_process
from tests.conftest import wait_until


def fail(problem: str) -> None:
    raise UserError(problem)


def test_the_result_comes_from_another_process():
    with in_process(os.getpid) as wait:
        assert wait() != os.getpid()


def test_an_error_is_raised_where_the_result_is_waited_for():
    with in_process(fail, "--corpora x: broken") as wait, pytest.raises(UserError) as error:
        wait()
    assert str(error.value) == "--corpora x: broken" and "in fail" in error.value.__notes__[0]


def test_a_killed_process_is_an_error_not_an_endless_wait(tmp_path):
    with in_process(_write_process_id_and_sleep, tmp_path / "pid") as wait:
        wait_until((tmp_path / "pid").exists)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        with pytest.raises(UserError, match=r"--num-proc: .*killed.*; give --num-proc 1"):
            wait()


def test_leaving_the_block_ends_the_process(tmp_path):
    with in_process(_write_process_id_and_sleep, tmp_path / "pid"):
        wait_until((tmp_path / "pid").exists)
        left = time.monotonic()
    assert time.monotonic() - left < 30
    assert (tmp_path / "cleaned up").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_process_that_ends_amid_a_bar_leaves_the_lock_of_bars_to_others(tmp_path):
    """tqdm's own is one for all processes; whoever asked for it next would wait for ever."""
    for each in (tqdm.std.tqdm, tqdm.auto.tqdm):
        each(disable=False, file=io.StringIO()).close()
    with in_process(_hold_the_lock_of_bars, tmp_path / "held"):
        wait_until((tmp_path / "held").exists)
    for each in (tqdm.std.tqdm, tqdm.auto.tqdm):
        for lock in each.get_lock().locks:
            assert lock.acquire(timeout=5)
            lock.release()


def _hold_the_lock_of_bars(path) -> None:
    for each in (tqdm.std.tqdm, tqdm.auto.tqdm):
        each.get_lock().acquire()
    path.touch()
    time.sleep(60)


def _write_process_id_and_sleep(path) -> None:
    (path.parent / "part").write_text(str(os.getpid()))
    try:
        os.replace(path.parent / "part", path)
        time.sleep(60)
    finally:
        (path.parent / "cleaned up").touch()


def test_the_collector_rests_and_goes_on():
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
