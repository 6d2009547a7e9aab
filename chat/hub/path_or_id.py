"""What names a model or dataset, a path or a Hub id, and why it cannot be loaded: an error of one line."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from chat.cli import UserError
from chat.folders import full_disk
from chat.hub.errors import failure_of, is_gated, one_line
from chat.hub.repositories import hub_api

logger = logging.getLogger(__name__)

ADAPTER = "adapter_config.json"
FILE_SUFFIXES = (".json", ".jsonl", ".zip", ".yaml")


def is_local(name: str) -> bool:
    """Whether it is a path; one that may not be read is, too, and its loader says so."""
    try:
        return Path(name).exists()
    except PermissionError:
        return True
    except OSError:
        return False


def looks_like_path(name: str) -> bool:
    """Whether a name that does not exist was meant as a path: Hub ids are `name` or `user/name`."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).suffix in FILE_SUFFIXES


def check_path(flag: str, name: str) -> None:
    """Asks before the libraries are imported, which takes seconds.

    Raises:
        UserError: it was meant as a path, and nothing is there.
    """
    if not is_local(name) and looks_like_path(name):
        raise UserError(f"{flag} {name}: no such file or folder; give a path or a Hub id (user/name)")


@contextmanager
def explained(flag: str, name: str, what: str, repo_type: str = "model") -> Iterator[None]:
    """Turns a failure to load `what` into a `UserError` of one line.

    The libraries raise OSError for missing files and network failures, errors of all kinds for content that
    they do not know, in many lines that never name our flag. The Hub is asked once beforehand: where it
    cannot be reached, their offline mode spares half a minute of retries a file, and what is cached still
    loads.
    """
    check_path(flag, name)
    local = is_local(name)
    unreachable, has_adapter = (
        (None, os.path.isfile(Path(name, ADAPTER))) if local else _state_on_hub(flag, name, repo_type)
    )
    # More than a tokenizer must not be taken of it: where PEFT is installed, transformers would put it on the
    # base that it names, from wherever that is, or onto weights beside it.
    if has_adapter and what != "tokenizer":
        raise UserError(
            f"{flag} {name}: holds an adapter of PEFT ({ADAPTER}); merge it into its base "
            "(`merge_and_unload()`), save the result with the tokenizer in another folder, and give that"
        )
    try:
        with _offline_mode() if unreachable else nullcontext():
            yield
    except UserError:
        raise
    except Exception as error:
        logger.debug("%s %s", flag, name, exc_info=True)
        if full := full_disk(error):
            raise UserError(
                f"{flag} {name}: the libraries' cache cannot be written ({one_line(full)}); make room, or "
                "set HF_HOME to a folder on another disk"
            ) from error
        reason = one_line(error)
        if local:
            raise UserError(
                f"{flag} {name}: no usable {what} ({reason}); give a folder that holds one"
            ) from error
        if unreachable:
            raise UserError(
                f"{flag} {name}: no such folder, and {unreachable}; check the network, or give the "
                f"{what}'s path"
            ) from error
        if is_gated(error):
            raise UserError(f"{flag} {name}: {failure_of(error)}") from error
        raise UserError(f"{flag} {name}: the Hub has it, but not as a usable {what} ({reason})") from error


@contextmanager
def _offline_mode() -> Iterator[None]:
    """The Hub client's own offline mode, which otherwise only an environment variable at start sets."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _state_on_hub(flag: str, name: str, repo_type: str) -> tuple[str | None, bool]:
    """Why the Hub does not answer, None where it does; and whether the repository, or what is cached of it,
    has an adapter.

    Raises:
        UserError: the Hub answers that there is no such repository, or that it may not be read.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        found = hub_api().repo_info(name, repo_type=repo_type, timeout=10)
    except HFValidationError:
        raise UserError(f"{flag} {name}: neither an existing path nor a Hub id (user/name)") from None
    except GatedRepoError as error:
        raise UserError(f"{flag} {name}: {failure_of(error)}") from error
    except RepositoryNotFoundError:
        raise UserError(
            f"{flag} {name}: neither a local folder nor a {repo_type} on the Hub; check the spelling, and "
            "set HF_TOKEN if it is private"
        ) from None
    except OfflineModeIsEnabled as error:
        reason = failure_of(error).reason
    except Exception as error:
        failure = failure_of(error)
        if failure.is_lasting:
            raise UserError(f"{flag} {name}: {failure}") from error
        reason = failure.reason
    else:
        return None, any(each.rfilename == ADAPTER for each in found.siblings or ())
    return reason, isinstance(try_to_load_from_cache(name, ADAPTER, repo_type=repo_type), str)
