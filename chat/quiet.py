"""Keeps the libraries of engines and exports from reporting, printing, and changing how this process logs."""

from __future__ import annotations

import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

# OpenVINO, when it is imported, and NNCF report their use to Intel unless they believe to be in a CI.
TELEMETRY_SWITCHES = {"CI": "true", "NNCF_CI": "true"}


@contextmanager
def without_telemetry() -> Iterator[None]:
    """What is first imported within the block reports to nobody, then or later."""
    switches = TELEMETRY_SWITCHES | _home()
    before = {name: os.environ.get(name) for name in switches}
    os.environ.update(switches)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _home() -> dict[str, str]:
    """OpenVINO looks there for a consent to reports, and does not start, or complains, for a user who has no
    such folder.
    """
    try:
        has_home = Path.home().is_dir()
    except RuntimeError:
        has_home = False
    return {} if has_home else {"HOME": tempfile.gettempdir()}


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within the block only errors are logged and nothing is printed; afterwards everything is as it was."""
    root = logging.getLogger()
    level, handlers, disabled = root.level, list(root.handlers), root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with without_telemetry(), redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.setLevel(level)
        root.handlers[:] = handlers
