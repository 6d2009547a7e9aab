"""Our commands in processes of their own, as a user on a fresh machine runs them."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.conftest import ROOT


def command(module: str, *flags: str) -> list[str]:
    return [sys.executable, "-m", module, *map(str, flags)]


def python(*arguments: str, environment: dict[str, str], timeout: float = 240) -> subprocess.CompletedProcess:
    """Runs Python with these arguments from the project's root, on one thread."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
