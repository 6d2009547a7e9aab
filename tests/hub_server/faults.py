"""How the Hub fails on request: by status, by a connection that breaks, or by a request that hangs."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field


@dataclass
class Fault:
    """What happens to requests whose "METHOD path" matches.

    Attributes:
        pattern: searched for in "METHOD path".
        status: answered, with `headers` and `message`, before anything is done.
        reset_after_bytes: of the body, after which the connection is reset.
        hangs: the request waits, unanswered, till `go` is set; `reached` tells that it has come.
        answer_is_lost: what was asked for is done, and the connection reset in place of the answer.
        times: how many requests it strikes.
        skip: how many that match pass before.
    """

    pattern: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "It went wrong."
    reset_after_bytes: int | None = None
    hangs: bool = False
    answer_is_lost: bool = False
    times: int = 1
    skip: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)


class Faults:
    """The faults that are still to strike; thread-safe."""

    def __init__(self):
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, pattern: str, **options) -> Fault:
        fault = Fault(pattern, **options)
        with self._lock:
            self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            for fault in self._waiting:
                fault.go.set()
            self._waiting.clear()

    def strike(self, request: str) -> Fault | None:
        """The fault that strikes this request, if one does."""
        with self._lock:
            for fault in self._waiting:
                if not re.search(fault.pattern, request):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if not fault.times:
                    self._waiting.remove(fault)
                fault.reached.set()
                return fault
        return None
