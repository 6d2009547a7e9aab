"""What a failure of the Hub's client means, in one line that says what to do and never holds a token."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chat.cli import UserError, causes, first_line
from chat.folders import DISK_FULL
from chat.hub.secrets import own_token

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

TOKEN_PATTERN = re.compile(r"\b(hf|api_org|hf_oauth)_[A-Za-z0-9_]{4,}")
# As "Private repository storage limit reached, please upgrade your plan".
FULL_STORAGE = re.compile(r"storage (limit|quota|space)|quota", re.IGNORECASE)
BILLING = "https://huggingface.co/settings/billing"
NEW_TOKEN = "set HF_TOKEN to a token that may do this (https://huggingface.co/settings/tokens)"


@dataclass(frozen=True)
class Failure:
    """
    Attributes:
        reason: what went wrong, without a full stop.
        remedy: what the user can do, as an imperative.
        is_lasting: another try changes nothing till the user has done it.
        retry_after_seconds: how long the Hub asks to wait; 0 where it does not say.
    """

    reason: str
    remedy: str
    is_lasting: bool
    retry_after_seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


def failure_of(error: BaseException) -> Failure:
    """What went wrong, found in the error or in what it was raised from."""
    import httpx2
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )

    if isinstance(error, UserError):
        reason, _, remedy = str(error).partition("; ")
        return Failure(reason, remedy, is_lasting=True)
    if type(error) is ValueError:
        # The client's own checks, such as of a card's metadata, tell more than what they were raised from.
        return Failure(without_tokens(" ".join(str(error).split())), "mend that", is_lasting=True)
    for each in causes(error):
        if isinstance(each, UnicodeEncodeError) and not (own_token() or "").isascii():
            return Failure(
                "the token holds characters that no token has, such as typographic quotes",
                "set HF_TOKEN to the token alone",
                is_lasting=True,
            )
        if isinstance(each, OfflineModeIsEnabled):
            return Failure(
                "the Hub cannot be reached (offline mode)", "unset HF_HUB_OFFLINE", is_lasting=True
            )
        if isinstance(each, LocalTokenNotFoundError):
            return Failure("there is no token", NEW_TOKEN, is_lasting=True)
        if isinstance(each, HFValidationError):
            return Failure("not a Hub id", "give USER/NAME", is_lasting=True)
        if isinstance(each, HfHubHTTPError):
            return _refusal(each)
        if isinstance(each, httpx2.HTTPError):
            return Failure(
                f"the Hub cannot be reached ({one_line(each)})", "check the network", is_lasting=False
            )
        if isinstance(each, json.JSONDecodeError):
            # Such as a gateway's page that says in HTML what failed.
            return Failure("the Hub's answer cannot be read", "try again later", is_lasting=False)
        if isinstance(each, OSError) and each.errno in DISK_FULL:
            return Failure(f"the disk is full ({one_line(each)})", "make room", is_lasting=True)
        if type(each).__name__ == "XetAuthenticationError":
            return Failure("the Hub's storage refuses the token", NEW_TOKEN, is_lasting=True)
    is_lasting = isinstance(error, ValueError | FileNotFoundError | PermissionError)
    return Failure(one_line(error), "mend that" if is_lasting else "try again", is_lasting)


def is_gated(error: BaseException) -> bool:
    """Whether the Hub, in the error or in what it was raised from, lets only some people in."""
    from huggingface_hub.errors import GatedRepoError

    return any(isinstance(each, GatedRepoError) for each in causes(error))


def one_line(error: BaseException) -> str:
    """The first line of an error's message, or its type, with tokens redacted."""
    return without_tokens(first_line(error))


def without_tokens(text: str) -> str:
    own = own_token()
    return TOKEN_PATTERN.sub("hf_...", text.replace(own, "hf_...") if own else text)


def _refusal(error: HfHubHTTPError) -> Failure:
    """What an answer of status 400 or more means."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    status = error.response.status_code
    said = without_tokens(" ".join(str(error.server_message or "").split()))
    detail = f"{status}: {said}" if said else str(status)
    if isinstance(error, RevisionNotFoundError):
        return Failure(f"the Hub has no such revision ({status})", "name one that it has", is_lasting=True)
    if isinstance(error, GatedRepoError):
        return Failure(
            f"it is gated, and the token's owner was not let in ({status})",
            "ask for access on its page on the Hub, and set HF_TOKEN to a token that may read it",
            is_lasting=True,
        )
    if isinstance(error, RepositoryNotFoundError):
        return Failure(
            f"the Hub has no such repository, or the token may not see it ({status})",
            f"check the spelling, or {NEW_TOKEN}",
            is_lasting=True,
        )
    if status == 403 and FULL_STORAGE.search(said):
        return Failure(f"the Hub has no more room for this ({detail})", f"make room, or see {BILLING}", True)
    if status in (401, 403):
        return Failure(f"the Hub refuses the token ({detail})", NEW_TOKEN, is_lasting=True)
    if status == 402:
        return Failure(f"the Hub wants payment for this ({detail})", f"see {BILLING}", True)
    if status == 429:
        seconds = _retry_after_seconds(error.response.headers)
        return Failure(
            "too many requests to the Hub (429)",
            f"wait {seconds:.0f} s and try again" if seconds else "wait a few minutes and try again",
            is_lasting=False,
            retry_after_seconds=seconds,
        )
    if status == 408 or status >= 500:
        seconds = _retry_after_seconds(error.response.headers)
        return Failure(
            f"the Hub has a failure of its own ({detail})",
            "try again later (https://status.huggingface.co)",
            is_lasting=False,
            retry_after_seconds=seconds,
        )
    # A commit that came in between, or a repository that is locked for a moment.
    is_conflict = status in (409, 412, 423)
    return Failure(
        f"the Hub refuses this ({detail})", "try again" if is_conflict else "mend that", not is_conflict
    )


def _retry_after_seconds(headers: Mapping[str, str]) -> float:
    """What `RateLimit` or `Retry-After` asks for, in seconds; 0 where neither is there."""
    from huggingface_hub.utils import parse_ratelimit_headers

    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    value = headers.get("Retry-After", "")
    return float(value) if value.isdigit() else 0.0
