"""The log of replies and likes: what it holds, who may read it, and that without consent there is none."""

import json
import logging
import resource
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from unittest.mock import MagicMock

import pytest

from chat import feedback
from chat.cli import UserError
from chat.decoding import DecodingSettings
from chat.feedback import FeedbackLog
from chat.session import MAX_MESSAGE_CHARACTERS

NO_CONSENT = [False, None, 0, 1, "", "yes", "true", "True", [True]]


def log_reply(log: FeedbackLog, consent=True, message="Hi!", **changed) -> None:
    how = {
        "persona": ["I have two cats."],
        "settings": DecodingSettings(temperature=0.5, seed=7),
        "model": "models/pocket",
        "seconds": 0.123,
        "tokens": 9,
        "fallback": False,
    }
    log.reply(consent, "c0ffee", message, "Hello.", **{**how, **changed})


def events(log: FeedbackLog) -> list[dict]:
    return [json.loads(line) for line in log.file.read_text(encoding="utf-8").split("\n")[:-1]]


@pytest.mark.parametrize("consent", NO_CONSENT, ids=repr)
def test_nothing_is_logged_without_consent(tmp_path, consent):
    log = FeedbackLog(tmp_path / "feedback")
    log_reply(log, consent)
    log.liked(consent, "c0ffee", "Hello.", "Hi!", True)
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_consent_given_and_taken_back(tmp_path):
    log = FeedbackLog(tmp_path)
    for message, consent in (("first", False), ("second", True), ("third", False)):
        log_reply(log, consent, message)
    assert [event["message"] for event in events(log)] == ["second"]


def test_what_is_logged(tmp_path):
    log = FeedbackLog(tmp_path)
    log_reply(log, message="Grüß dich 😀")
    log.liked(True, "c0ffee", "Hello.", "Hi!", False)
    log.liked(True, "c0ffee", "Hello.", "Hi!", None)
    reply, disliked, neither = events(log)
    times = [datetime.fromisoformat(event.pop("time")) for event in (reply, disliked, neither)]
    assert times == sorted(times) and times[0].utcoffset() == timedelta(0)
    settings = reply.pop("settings")
    assert settings["temperature"] == 0.5 and "seed" not in settings
    assert reply == {
        "event": "reply",
        "conversation": "c0ffee",
        "message": "Grüß dich 😀",
        "reply": "Hello.",
        "persona": ["I have two cats."],
        "model": "models/pocket",
        "seed": 7,
        "seconds": 0.123,
        "tokens": 9,
        "fallback": False,
    }
    liked = {"event": "liked", "conversation": "c0ffee", "message": "Hi!", "reply": "Hello."}
    assert disliked == {**liked, "liked": False} and neither == {**liked, "liked": None}


def test_what_is_logged_is_within_the_limits(tmp_path):
    log = FeedbackLog(tmp_path)
    log_reply(log, message="x" * 10_000 + "\ud83d")
    log.liked(True, "c" * 1000, "a\x00b\ud83d", "Hi!", "yes")
    reply, liked = events(log)
    assert len(reply["message"]) == MAX_MESSAGE_CHARACTERS
    assert (len(liked["conversation"]), liked["reply"], liked["liked"]) == (100, "a b?", None)


def test_only_the_owner_can_read_it(tmp_path):
    log = FeedbackLog(tmp_path / "logs" / "feedback")
    log_reply(log)
    assert stat.S_IMODE(log.file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(log.file.stat().st_mode) == 0o600


def test_threads_and_processes_do_not_mix_their_lines(tmp_path):
    logs = [FeedbackLog(tmp_path), FeedbackLog(tmp_path)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: log_reply(logs[index % 2], message=f"{index} " * 500), range(200)))
    assert len(list(tmp_path.iterdir())) == 2
    logged = {event["message"].split()[0] for log in logs for event in events(log)}
    assert logged == {str(index) for index in range(200)}


def test_nothing_is_logged_while_a_push_reads_the_file(tmp_path, monkeypatch):
    """Which would push what a full disk has room for of an event."""
    scheduler = MagicMock()
    monkeypatch.setattr("chat.hub.feedback.feedback_scheduler", lambda *given: scheduler)
    log_reply(FeedbackLog(tmp_path, "someone/talks"))
    scheduler.lock.__enter__.assert_called_once()


def test_a_disk_error_is_told_once_till_it_is_over_and_breaks_nothing(tmp_path, caplog):
    obstacle = tmp_path / "feedback"
    obstacle.write_text("not a folder")
    log = FeedbackLog(obstacle)
    with caplog.at_level(logging.WARNING):
        log_reply(log)
        log.liked(True, "c0ffee", "Hello.", "Hi!", True)
    [warning] = caplog.messages
    assert warning.startswith(f"feedback is not logged to {log.file} (")
    assert "make room there, make the folder writable, or start again, which begins another" in warning
    obstacle.unlink()
    log_reply(log)
    assert len(events(log)) == 1
    log.file.rename(tmp_path / "moved")
    log.file.mkdir()
    log_reply(log), log_reply(log)
    assert len(caplog.messages) == 2


def test_a_full_disk_leaves_no_half_of_an_event_and_is_told_of(tmp_path, caplog):
    room = 2**20
    log = FeedbackLog(tmp_path)
    log_reply(log, message="before")
    with log.file.open("a") as file:
        file.write(
            json.dumps({"event": "filler", "message": "x" * (room - log.file.stat().st_size - 100)}) + "\n"
        )
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        log_reply(log, message="torn")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log_reply(log, message="after")
    assert [event["message"][:6] for event in events(log)] == ["before", "xxxxxx", "after"]
    [warning] = caplog.messages
    assert "No space left on device" in warning


def test_no_visitor_fills_the_disk(tmp_path, caplog, monkeypatch):
    log = FeedbackLog(tmp_path)
    log_reply(log)
    monkeypatch.setattr(feedback, "MAX_FILE_BYTES", 2 * log.file.stat().st_size)
    log_reply(log), log_reply(log), log_reply(log)
    assert len(events(log)) == 2
    [warning] = caplog.messages
    assert "(File too large); make room there, make the folder writable, or start again" in warning
    again = FeedbackLog(tmp_path)
    log_reply(again)
    assert len(events(again)) == 1


def test_a_dataset_without_a_token_or_a_hub_is_an_error_at_start(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(UserError, match=r"^FEEDBACK_DATASET someone/talks: no token; set HF_TOKEN to"):
        FeedbackLog(tmp_path, "someone/talks")
    monkeypatch.setenv("HF_TOKEN", "hf_1")
    with pytest.raises(
        UserError, match=r"^FEEDBACK_DATASET someone/talks: the Hub cannot be reached \(.+\); "
    ):
        FeedbackLog(tmp_path, "someone/talks")
    with pytest.raises(UserError, match=r"^FEEDBACK_DATASET talks: not a dataset's id; give USER/NAME$"):
        FeedbackLog(tmp_path, "talks")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^FEEDBACK_DATASET someone/talks: no folder .+file to push from"):
        FeedbackLog(tmp_path / "file", "someone/talks")
