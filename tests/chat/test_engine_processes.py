"""Engines and processes: how one ends that computes."""

from tests.processes import python

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


def test_a_process_ends_as_it_says_while_torch_computes_in_its_threads(model_folder):
    done = python("-c", ENDS_WHILE_IT_COMPUTES, model_folder, environment={}, timeout=120)
    assert (done.returncode, done.stderr) == (3, "")
