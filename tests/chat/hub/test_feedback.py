"""Feedback in a private dataset: the Hub's own client and scheduler, over real HTTP on loopback."""

import json
import os

from chat.feedback import PUSH_EVERY_MINUTES
from tests.hub_server import client_environment, hub
from tests.hub_server.store import Repositories
from tests.processes import python

TOKEN = "hf_of_someone"
SCRIPT = """
import json, os, sys
from pathlib import Path
from huggingface_hub import constants
from chat.cli import UserError
from chat.feedback import FeedbackLog

def error(folder, dataset, token):
    os.environ["HF_TOKEN"] = token
    try:
        FeedbackLog(Path(folder), dataset)
    except UserError as error:
        return str(error)

folder, token = sys.argv[1:]
os.environ["HF_TOKEN"] = token
(Path(folder) / "earlier.jsonl").write_text("{}")
log = FeedbackLog(Path(folder), "someone/talks")
every_minutes = log._scheduler.every
log.liked(False, "c0ffee", "Secret.", "Hi!", True)
log.liked(True, "c0ffee", "First.", "Hi!", True)
log._scheduler.trigger().result()
log.liked(True, "c0ffee", "Second.", "Hi!", False)
log.close()
log.liked(True, "c0ffee", "Third.", "Hi!", None)
log.close()
cut_off = FeedbackLog(Path(folder), "someone/talks")
constants.HF_HUB_OFFLINE = True
cut_off.liked(True, "c0ffee", "Fourth.", "Hi!", True)
cut_off.close()
constants.HF_HUB_OFFLINE = False
names = ["someone/public", "someone/ talks", "elsewhere/talks", "elsewhere/public"]
errors = [error(folder, name, token) for name in names]
errors.append(error(folder, "someone/talks", "hf_of_nobody"))
files = {"file": str(log.file), "cut_off": str(cut_off.file)}
print(json.dumps({**files, "errors": errors, "every_minutes": every_minutes}))
"""

SILENT = """
import sys
from pathlib import Path
from chat import feedback

feedback.LAST_PUSH_SECONDS = 0.5
log = feedback.FeedbackLog(Path(sys.argv[1]), "someone/talks")
log.liked(True, "c0ffee", "First.", "Hi!", True)
log._scheduler.trigger()
log.close()
"""


def test_feedback_is_pushed_to_a_private_dataset(tmp_path):
    (tmp_path / "feedback").mkdir()
    public = {("dataset", f"{user}/public"): tmp_path / "feedback" for user in ("someone", "elsewhere")}
    repositories = Repositories(public, TOKEN)
    repositories.foreign.add("elsewhere")
    repositories.faults.add("POST .*/repos/create", status=503)
    with hub(repositories) as endpoint:
        environment = client_environment(endpoint, tmp_path / "home")
        done = python("-c", SCRIPT, tmp_path / "feedback", TOKEN, environment=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    dataset = ("dataset", "someone/talks")
    assert repositories.get(dataset).private
    assert found["every_minutes"] == PUSH_EVERY_MINUTES
    # What lay in the folder before is not pushed, nor what is logged when the log is closed.
    [(name, pushed)] = repositories.contents(dataset).items()
    assert name == os.path.basename(found["file"])
    assert [json.loads(line)["reply"] for line in pushed.splitlines()] == ["First.", "Second."]
    assert len(repositories.messages(dataset)) == 2
    assert "the last feedback was not pushed" in done.stderr and found["cut_off"] in done.stderr
    is_public, is_no_id, *refused = found["errors"]
    assert (
        is_public.startswith("FEEDBACK_DATASET someone/public: is public") and "make it private" in is_public
    )
    assert is_no_id == "FEEDBACK_DATASET someone/ talks: not a dataset's id; give USER/NAME"
    for each in refused:
        assert "the Hub refuses the token (40" in each and "set HF_TOKEN to a token that may do this" in each


def test_a_process_ends_and_says_why_feedback_was_not_pushed_where_the_hub_does_not_answer(tmp_path):
    repositories = Repositories(token=TOKEN)
    repositories.faults.add("POST .*/(preupload|commit)/", hangs=True, times=9)
    with hub(repositories) as endpoint:
        environment = client_environment(endpoint, tmp_path / "home", TOKEN)
        try:
            done = python("-c", SILENT, tmp_path / "feedback", environment=environment, timeout=30)
        finally:
            repositories.faults.clear()
    assert done.returncode == 0
    assert "the last feedback was not pushed (no answer of the Hub in 0.5 s); it is in " in done.stderr


def test_feedback_that_the_hub_refuses_is_told_in_one_line_with_what_to_do(tmp_path):
    repositories = Repositories(token=TOKEN)
    repositories.faults.add("POST .*/(preupload|commit)/", status=403, times=9, message="No.")
    with hub(repositories) as endpoint:
        environment = client_environment(endpoint, tmp_path / "home", TOKEN)
        done = python("-c", SILENT, tmp_path / "feedback", environment=environment)
    assert done.returncode == 0
    *pushes, last = done.stderr.splitlines()
    told = "the Hub refuses the token (403: No.); set HF_TOKEN to a token that may do this ("
    assert f"the last feedback was not pushed ({told}" in last
    # Those before it, in the background.
    assert pushes and all(f"Error while pushing to Hub: {told}" in each for each in pushes), done.stderr
