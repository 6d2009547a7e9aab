"""Work in a process of its own: its result, its errors, its end."""

import gc
import os
import signal
import time

import pytest

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
