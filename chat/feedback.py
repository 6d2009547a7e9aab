"""Queries, replies and likes, kept with the user's consent and not at all without it.

Events are lines of JSON in a file of this process: what was asked and replied and how, and what was liked.
Nothing tells who the user is, beyond what they wrote.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from chat.cli import UserError
from chat.decoding import DecodingSettings
from chat.hub.errors import one_line
from chat.session import message_from

if TYPE_CHECKING:
    from chat.hub.feedback import QuietScheduler

FOLDER_VARIABLE, DATASET_VARIABLE = "FEEDBACK_FOLDER", "FEEDBACK_DATASET"
DEFAULT_FOLDER = "feedback"
PUSH_EVERY_MINUTES = 5
LAST_PUSH_SECONDS = 60
MAX_ID_CHARACTERS = 100
# Some hundred thousand conversations; a program that consents to all it sends would fill any disk.
MAX_FILE_BYTES = 10**9
REPLY, LIKED = "reply", "liked"

logger = logging.getLogger(__name__)


def is_off(folder: str) -> bool:
    """Whether FEEDBACK_FOLDER says that nothing is to be kept."""
    return folder.lower() == "off"


class FeedbackLog:
    """Appends events to a file of its own, which only its owner can read, from any thread.

    A disk that fails costs events, never a reply: it is warned of once.

    Attributes:
        file: it appears with the first event.
    """

    def __init__(self, folder: Path, dataset: str = ""):
        """
        Args:
            folder: made when it is needed.
            dataset: USER/NAME of a private dataset on the Hub, to which the file is pushed in the background.

        Raises:
            UserError: the dataset cannot be written to, or there can be no folder to push from.
        """
        self.file = Path(folder) / f"{datetime.now(UTC):%Y-%m-%d}-{uuid4().hex}.jsonl"
        self._scheduler = _scheduler(dataset, self.file) if dataset else None
        self._lock = self._scheduler.lock if self._scheduler else threading.Lock()
        self._has_warned = False

    def reply(
        self,
        consent: bool,
        conversation: str,
        message: str,
        reply: str,
        *,
        persona: Sequence[str],
        settings: DecodingSettings,
        model: str,
        seconds: float,
        tokens: int,
        fallback: bool,
    ) -> None:
        """What was asked and replied.

        Args:
            consent: the user's; unless it is True nothing is done.
            conversation: a random id, the same in all its events.
            settings: with the seed that the reply was drawn with.
            seconds: from the message to the whole reply.
            tokens: of the reply.
            fallback: the reply is our own sentence, since the model had no usable one.
        """
        if consent is not True:
            return
        drawn_by = asdict(settings)
        self._append(
            REPLY,
            conversation,
            message,
            reply,
            persona=list(persona),
            seed=drawn_by.pop("seed"),
            settings=drawn_by,
            model=message_from(model),
            seconds=seconds,
            tokens=tokens,
            fallback=fallback,
        )

    def liked(self, consent: bool, conversation: str, reply: str, message: str, liked: bool | None) -> None:
        """That a reply was liked (True), disliked (False), or neither any more (None); see `reply`."""
        if consent is not True:
            return
        self._append(LIKED, conversation, message, reply, liked=liked if isinstance(liked, bool) else None)

    def close(self) -> None:
        """Pushes what has not been pushed, and ends pushing."""
        scheduler, self._scheduler = self._scheduler, None
        if not scheduler:
            return
        try:
            scheduler.push_and_stop().result(timeout=LAST_PUSH_SECONDS)
        # Whatever keeps the Hub from taking it, the file is still here.
        except Exception as error:
            no_answer = f"no answer of the Hub in {LAST_PUSH_SECONDS} s"
            reason = no_answer if isinstance(error, TimeoutError) else one_line(error)
            logger.warning(
                f"the last feedback was not pushed ({reason}); it is in {self.file}, "
                "which `hf upload --repo-type dataset` pushes"
            )

    def _append(self, event: str, conversation: str, message: str, reply: str, **values: Any) -> None:
        record = {
            "event": event,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "conversation": message_from(conversation)[:MAX_ID_CHARACTERS],
            "message": message_from(message),
            "reply": message_from(reply),
            **values,
        }
        line = json.dumps(record, ensure_ascii=False) + "\n"
        try:
            with self._lock:
                _append_whole(self.file, line.encode("utf-8"))
            self._has_warned = False
        except OSError as error:
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    f"feedback is not logged to {self.file} ({error.strerror}); make room there, make the "
                    "folder writable, or start again, which begins another file; the chat goes on"
                )


def _scheduler(dataset: str, file: Path) -> QuietScheduler:
    from chat.hub.feedback import feedback_scheduler

    # It would make the folder itself, for all to read.
    try:
        _make_folder(file.parent)
    except OSError as error:
        raise UserError(
            f"{DATASET_VARIABLE} {dataset}: no folder {file.parent} to push from ({error.strerror}); make "
            "room for it"
        ) from None
    return feedback_scheduler(dataset, file, PUSH_EVERY_MINUTES, DATASET_VARIABLE)


def _append_whole(file: Path, line: bytes) -> None:
    """Appends the line or, where the disk or the file is full, nothing of it."""
    _make_folder(file.parent)
    with open(file, "ab", buffering=0, opener=partial(os.open, mode=0o600)) as opened:
        size = os.fstat(opened.fileno()).st_size
        if size + len(line) > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        if opened.write(line) < len(line):
            opened.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
