"""Our commands: in processes of their own, as on machines that share nothing but a Hub, or in this one."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import httpx2
import pytest

from chat.cli import run
from tests.conftest import ROOT

# For `python -c`. Its arguments: the bytes beyond which no file grows, as on a full disk; a module; flags.
ON_A_FULL_DISK = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def _settings(environment: dict[str, str] | None) -> dict:
    return {"cwd": ROOT, "text": True, "env": {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}}


def without_told_device() -> dict[str, str]:
    """The environment of these tests but for what tells Accelerate of the CPU, as a launch finds it."""
    environment = {name: value for name, value in os.environ.items() if name != "ACCELERATE_USE_CPU"}
    return environment | {"OMP_NUM_THREADS": "1"}


def own_home(folder: Path) -> dict[str, str]:
    """The whole environment of somebody with this home; without CI, which switches telemetry off."""
    return {"HOME": str(folder), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}


def python(
    *arguments: object, environment: dict[str, str] | None = None, says: str = "", timeout: float = 600
) -> subprocess.CompletedProcess:
    """Runs Python from the project's root, on one thread, to its end; `says` is what a user types."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, input=says, capture_output=True, timeout=timeout, **_settings(environment))


def launched(*arguments: object, timeout: float) -> subprocess.CompletedProcess:
    """Runs a launcher of several processes as one finds it; past the time limit, none of them is left."""
    command = [sys.executable, *map(str, arguments)]
    settings = {"cwd": ROOT, "text": True, "env": without_told_device()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            # Killed, the launcher would leave its processes waiting for one another; told to end, it kills
            # those that have not ended half a minute later.
            process.terminate()
            process.communicate()
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


@contextmanager
def started(*arguments: object, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """The same, while it runs, which it does no longer than the block; all it says is in its `stdout`."""
    command = [sys.executable, *map(str, arguments)]
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **_settings(environment)}
    with subprocess.Popen(command, **settings) as process:
        try:
            yield process
        finally:
            process.kill()


def free_port() -> int:
    """Of this machine, on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextmanager
def serving(
    command: Sequence[str | Path], port: int, log: Path, within_seconds: float = 300, **options
) -> Iterator[tuple[str, subprocess.Popen]]:
    """A server's address and process, from when its `/health` is well till the block's end."""
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + within_seconds
    with open(log, "w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, **options)
    try:
        while not _is_healthy(address):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield address, server
    finally:
        server.terminate()
        server.wait(timeout=60)


def _is_healthy(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/health").status_code == 200
    except httpx2.HTTPError:
        return False


def in_process(main: Callable[[], None], *flags: object) -> subprocess.CompletedProcess:
    """An entry point on its command line, without the second that a process takes to import its libraries."""
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as given, redirect_stdout(output), redirect_stderr(errors):
        given.setattr(sys, "argv", [main.__module__, *map(str, flags)])
        # What `run` would set for good.
        given.setenv("TOKENIZERS_PARALLELISM", "true")
        with pytest.raises(SystemExit) as end:
            run(main)
    return subprocess.CompletedProcess(flags, end.value.code, output.getvalue(), errors.getvalue())


def mentions(secret: str, folder: Path, *outputs: str) -> list[str]:
    """Where a secret is: the files below a folder, and which of the outputs."""
    found = [f"output {number}" for number, output in enumerate(outputs) if secret in output]
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        if secret.encode() in path.read_bytes():
            found.append(str(path))
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder, by their paths in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
