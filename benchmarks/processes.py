"""Time and memory of a command, with all processes that it starts (Linux)."""

from __future__ import annotations

import os
import re
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from chat.cli import UserError

# A sample takes some 20 ms of a CPU, which is lost to what is measured.
SAMPLE_EVERY_SECONDS = 0.4


@dataclass(frozen=True)
class Measurement:
    """What a command took.

    Attributes:
        seconds: by the clock.
        cpu_seconds: of all its processes.
        other_cpu_seconds: of all else on the machine at the same time: what it had to share the CPUs with.
        peak_memory_bytes: of all its processes at once, shared pages counted once; sampled every
            `SAMPLE_EVERY_SECONDS`, so a shorter peak can be missed.
        printed: what it wrote to stdout and stderr.
    """

    seconds: float
    cpu_seconds: float
    other_cpu_seconds: float
    peak_memory_bytes: int
    printed: str


def measure(command: list[str], environment: dict[str, str], folder: Path) -> Measurement:
    """Runs the command in `folder` to its end.

    Raises:
        UserError: it failed.
    """
    used, busy = _cpu_seconds(), _busy_seconds()
    start = time.perf_counter()
    log = Path(environment["TMPDIR"]) / "command.log"
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        peak, status = 0, None
        while status is None:
            peak = max(peak, sum(_proportional_bytes(each) for each in _with_descendants(process.pid)))
            with suppress(subprocess.TimeoutExpired):
                status = process.wait(timeout=SAMPLE_EVERY_SECONDS)
    seconds = time.perf_counter() - start
    printed = log.read_text(encoding="utf-8")
    if status:
        last_line = printed.strip().splitlines()[-1:] or ["it printed nothing"]
        raise UserError(f"`{' '.join(command)}` ended with status {status}; mend this: {last_line[0]}")
    own = _cpu_seconds() - used
    return Measurement(seconds, own, max(0.0, _busy_seconds() - busy - own), peak, printed)


def _cpu_seconds() -> float:
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _busy_seconds() -> float:
    """CPU time since the system started that was not idle, of all processes."""
    user, nice, system = Path("/proc/stat").read_text().split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def _with_descendants(process: int) -> list[int]:
    found = [process]
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        found += [each for child in children for each in _with_descendants(int(child))]
    return found


def _proportional_bytes(process: int) -> int:
    """Its memory, in which a page that n processes share counts as 1/n; 0 where it has just ended."""
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0
