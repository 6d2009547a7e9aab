"""What a failure of the Hub's client means: whether another try may help."""

import errno
import json
from unittest.mock import patch

import httpx2
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from chat.cli import UserError
from chat.hub.errors import failure_of, one_line
from chat.hub.loading import load_config
from chat.hub.path_or_id import explained


def test_an_answer_that_cannot_be_read_is_no_mistake_of_the_user():
    """As of a gateway in front of the Hub, which says in HTML that the Hub is down."""
    try:
        json.loads("<html>502 Bad Gateway</html>")
    except ValueError as error:
        failure = failure_of(error)
    assert not failure.is_lasting and str(failure) == "the Hub's answer cannot be read; try again later"
    assert failure_of(ValueError("Invalid metadata")).is_lasting


def refusal(status: int, said: str = "", **headers: str):
    """The error of the Hub's client for such an answer."""
    request = httpx2.Request("POST", "https://hub/api/models/someone/chat/commit/main")
    answer = httpx2.Response(status, headers=headers, request=request)
    return HfHubHTTPError("it went wrong", response=answer, server_message=said)


@pytest.mark.parametrize(
    ("status", "is_lasting"),
    [
        *((status, True) for status in (400, 401, 402, 403, 422)),
        *((status, False) for status in (408, 409, 412, 423, 429, 500, 503)),
    ],
)
def test_another_try_may_help_where_the_fault_or_the_moment_is_the_hubs(status, is_lasting):
    assert failure_of(refusal(status)).is_lasting == is_lasting


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0),
        ({"RateLimit": '"api";r=0;t=55'}, 55),
        # There is room left: it was another limit that was reached, and the window's end is no matter.
        ({"RateLimit": '"api";r=499;t=280'}, 0),
        ({"RateLimit": '"api";r=499;t=280', "Retry-After": "7"}, 7),
    ],
)
def test_it_waits_as_long_as_the_hub_says(headers, seconds):
    for status in (429, 503):
        assert failure_of(refusal(status, **headers)).retry_after_seconds == seconds


class XetAuthenticationError(Exception):
    """As the client's storage names its own."""


def missing(kind: type[Exception]) -> Exception:
    answer = httpx2.Response(404, request=httpx2.Request("GET", "https://hub/api/models/someone/chat"))
    return kind("no", response=answer)


@pytest.mark.parametrize(
    ("error", "told", "is_lasting"),
    [
        (OfflineModeIsEnabled(), "the Hub cannot be reached (offline mode); unset HF_HUB_OFFLINE", True),
        (LocalTokenNotFoundError(), "there is no token; set HF_TOKEN to a token that may do this", True),
        (HFValidationError(), "not a Hub id; give USER/NAME", True),
        (httpx2.ConnectError("down"), "the Hub cannot be reached (down); check the network", False),
        (XetAuthenticationError(), "the Hub's storage refuses the token; set HF_TOKEN to a token", True),
        (missing(RevisionNotFoundError), "the Hub has no such revision (404); name one that it has", True),
        (missing(RepositoryNotFoundError), "the Hub has no such repository, or the token may not see", True),
        (refusal(402, "Pay."), "the Hub wants payment for this (402: Pay.); see https://", True),
        (refusal(400, "Bad."), "the Hub refuses this (400: Bad.); mend that", True),
        (refusal(412), "the Hub refuses this (412); try again", False),
        (FileNotFoundError("weights"), "weights; mend that", True),
        (PermissionError("weights"), "weights; mend that", True),
        (ConnectionError("down"), "down; try again", False),
    ],
)
def test_each_failure_is_told_with_what_to_do(error, told, is_lasting):
    failure = failure_of(error)
    assert str(failure).startswith(told) and failure.is_lasting is is_lasting


def test_what_we_said_ourselves_is_a_reason_and_all_that_is_to_be_done():
    failure = failure_of(UserError("--a: no rights; ask for them; or leave --a out"))
    assert (failure.reason, failure.remedy) == ("--a: no rights", "ask for them; or leave --a out")


def test_a_failure_is_found_behind_what_was_raised_while_it_was_handled():
    error = RuntimeError("cannot load")
    error.__context__ = OfflineModeIsEnabled()
    assert failure_of(error) == failure_of(OfflineModeIsEnabled())


def test_errors_that_came_from_each_other_have_an_end():
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    assert failure_of(first).reason == "first"


def test_a_hub_without_room_is_no_fault_of_the_token():
    said = "Private repository storage limit reached, please upgrade your plan to increase it."
    told = (
        f"the Hub has no more room for this (403: {said}); make room, or see https://huggingface.co/settings/"
    )
    assert str(failure_of(refusal(403, said))).startswith(told)
    assert "the Hub refuses the token (403: Forbidden); set HF_TOKEN" in str(
        failure_of(refusal(403, "Forbidden"))
    )


def test_a_token_in_typographic_quotes_is_named(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "\u201chf_ofsomeone\u201d")
    with pytest.raises(UnicodeEncodeError) as raised:
        httpx2.Request("GET", "http://hub", headers={"authorization": "Bearer \u201chf_ofsomeone\u201d"})
    failure = failure_of(raised.value)
    assert failure.is_lasting and "set HF_TOKEN to the token alone" in str(failure)
    assert "hf_ofsomeone" not in str(failure)


def test_a_gated_model_is_told_with_what_to_do():
    answer = httpx2.Response(
        403, request=httpx2.Request("GET", "https://hub/someone/chat/resolve/main/config.json")
    )
    told = r"^--model someone/chat: it is gated, .*; ask for access on its page on the Hub, and set HF_TOKEN"
    with (
        patch("chat.hub.path_or_id._state_on_hub", return_value=(None, False)),
        pytest.raises(UserError, match=told),
        explained("--model", "someone/chat", "model"),
    ):
        raise OSError("You are trying to access a gated repo.") from GatedRepoError("gated", response=answer)


def test_ones_own_token_is_not_told_whatever_it_looks_like(monkeypatch):
    """As of a Hub of one's own (HF_ENDPOINT), or of a job."""
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "oidc.OfAJob-123")
    for error in (refusal(400, "Bad token oidc.OfAJob-123"), OSError("oidc.OfAJob-123 is refused")):
        assert "OfAJob" not in str(failure_of(error)) and "hf_..." in str(failure_of(error))


def test_a_full_disk_is_told_also_where_the_client_made_another_error_of_it():
    error = RuntimeError("cannot upload")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    failure = failure_of(error)
    assert (
        failure.is_lasting and str(failure).startswith("the disk is full (") and "make room" in str(failure)
    )


def test_a_line_that_announces_the_next_one_is_told_with_it(tmp_path):
    """As transformers says of a configuration: what is wrong comes second."""
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "n_head": "4"}')
    with pytest.raises(UserError, match=r"field 'n_head': TypeError: Field 'n_head' expected int, got str"):
        load_config(str(tmp_path), "--model")


@pytest.mark.parametrize("error", [PermissionError, NotADirectoryError])
def test_a_folder_of_the_libraries_that_may_not_be_read_hides_no_error(monkeypatch, error):
    def get_token():
        raise error("/root/.cache/huggingface/token")

    monkeypatch.setattr("huggingface_hub.get_token", get_token)
    assert one_line(ValueError("the error itself")) == "the error itself"
