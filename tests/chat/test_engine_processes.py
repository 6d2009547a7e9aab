"""Engines and processes: how one ends that computes, and what one is told that was forked."""

import multiprocessing
import os
import pickle
from collections.abc import Callable

import pytest

from chat.decoding import DecodingSettings
from chat.engine import EngineBusy, EngineClosed, EngineForked
from tests.conftest import ROOT
from tests.processes import python

HELLO = [{"role": "user", "content": "Hello there"}]
LONG = DecodingSettings(temperature=1.5, top_k=0, top_p=1.0, max_new_tokens=120, min_new_tokens=120)
WAIT_SECONDS = 15
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

# For `python -c`; its argument: a model. A stream is left open, and a daemon thread draws several replies.
ENDS_WHILE_IT_COMPUTES = """
import sys, threading, time
from chat.engine import load_engine

engine = load_engine(sys.argv[1], engine="torch")
again = load_engine(sys.argv[1], engine="torch")
hello = [{"role": "user", "content": "Hello there"}]
settings = engine.settings.changed(max_new_tokens=200, min_new_tokens=200, do_sample=True)
stream = engine.stream(hello, settings.changed(best_of=1))
next(stream)

def draw():
    while True:
        again.reply(hello, settings.changed(best_of=8))

threading.Thread(target=draw, daemon=True).start()
while not again._one_request.locked():
    time.sleep(0.01)
sys.exit(3)
"""
# For `python -c`; its argument: an export. The forked process ends as Python does, or by an alarm.
ENDS_AFTER_A_FORK = """
import os, signal, sys
from pathlib import Path
from chat.continuous_batching import load_pipeline
from chat.openvino_engine import Scorer

pipeline, scorer = load_pipeline(Path(sys.argv[1]), 1024, {}), Scorer(Path(sys.argv[1]), {})
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
signal.alarm(15)
sys.exit(3)
"""


@pytest.mark.slow
def test_a_process_ends_as_it_says_while_torch_computes_in_its_threads(model_folder):
    done = python("-c", ENDS_WHILE_IT_COMPUTES, model_folder, timeout=120)
    assert (done.returncode, done.stderr) == (3, "")


@pytest.mark.parametrize("error", [EngineClosed(), EngineBusy("busy"), EngineForked("forked")], ids=repr)
def test_an_error_can_be_carried_to_another_process(error):
    carried = pickle.loads(pickle.dumps(error))
    assert type(carried) is type(error) and str(carried) == str(error)


@needs_fork
def test_a_process_that_was_forked_from_one_with_openvino_ends():
    export = ROOT / "models" / "pocket" / "openvino"
    done = python("-c", ENDS_AFTER_A_FORK, export, timeout=120)
    assert done.returncode == 3, done.stderr


def error_in_a_fork(ask: Callable[[], object]) -> Exception | None:
    """What `ask()` raises in a forked process, which is to end."""
    context = multiprocessing.get_context("fork")
    found, sent = context.Pipe(duplex=False)

    def tell() -> None:
        try:
            ask()
        except Exception as error:
            sent.send(error)
        else:
            sent.send(None)

    process = context.Process(target=tell)
    process.start()
    try:
        assert found.poll(WAIT_SECONDS), "the forked process hangs"
        return found.recv()
    finally:
        process.kill()
        process.join()


@needs_fork
def test_a_forked_process_is_told_at_once_that_it_has_no_engine(any_engine):
    for ask in (lambda: any_engine.reply(HELLO, LONG), lambda: any_engine.log_probs([HELLO], "Hello")):
        error = error_in_a_fork(ask)
        assert isinstance(error, EngineForked)
        assert "loaded before the process forked; load it here or use `spawn`" in str(error)
    assert any_engine.reply(HELLO, LONG)


@needs_fork
def test_a_process_that_was_forked_in_the_midst_of_a_reply_does_not_wait_for_its_rest(any_engine):
    stream = any_engine.stream(HELLO, LONG)
    next(stream)
    assert isinstance(error_in_a_fork(lambda: [*stream]), EngineForked)
    assert error_in_a_fork(any_engine.close) is None
    assert [*stream] and not any_engine.is_closed
