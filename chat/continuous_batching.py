"""Continuous batching: the thread that steps OpenVINO GenAI's pipeline, and the requests that it serves."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chat.compiled_models import in_a_passing_thread, kept_in_forks
from chat.engine import EngineClosed

if TYPE_CHECKING:
    import openvino_genai

CACHED_CONTEXTS = 32
CACHE_BLOCK_TOKENS = 32
# No faster than a screen shows it: each delivery wakes a thread, which costs the others CPU time.
DELIVER_EVERY_SECONDS = 0.02
# Prompt tokens of one step: a long prompt comes in parts, between which the other conversations go on.
MAX_BATCHED_TOKENS = 256


def load_pipeline(
    folder: Path, positions: int, properties: dict[str, Any]
) -> openvino_genai.ContinuousBatchingPipeline:
    """Loads an export, to serve many requests in the same steps.

    Args:
        folder: an export of `python -m chat.export --to openvino`.
        positions: of the model; as many tokens of `CACHED_CONTEXTS` conversations stay in the cache.
        properties: of OpenVINO's CPU device.
    """
    import openvino_genai

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.num_kv_blocks = CACHED_CONTEXTS * positions // CACHE_BLOCK_TOKENS
    scheduler.enable_prefix_caching = True
    scheduler.max_num_batched_tokens = MAX_BATCHED_TOKENS
    pipeline = in_a_passing_thread(
        openvino_genai.ContinuousBatchingPipeline, str(folder), scheduler, "CPU", properties
    )
    return kept_in_forks(pipeline)


class Server:
    """The thread that steps a pipeline while there are requests; it ends with the last of them."""

    def __init__(self, pipeline: openvino_genai.ContinuousBatchingPipeline):
        self._pipeline: openvino_genai.ContinuousBatchingPipeline | None = pipeline
        self.is_closed = False
        self._ids = count()
        self._lock = threading.Lock()
        self._running: list[Request] = []
        self._thread: threading.Thread | None = None

    def outputs(
        self, prompt: list[int], config: openvino_genai.GenerationConfig
    ) -> Iterator[list[openvino_genai.GenerationOutput]]:
        """Starts a request; what is drawn: of one reply piece by piece, of several all at once, in a list.

        Closing the iterator cancels the request; an error in the pipeline is raised here.
        """
        found = _found(self._start(prompt, config))
        # A generator that has not begun would end without its `finally`, and leave the request to run.
        next(found)
        return found

    def close(self) -> None:
        """Ends what runs, and gives the memory back."""
        with self._lock:
            self.is_closed = True
            thread = self._thread
            for request in self._running:
                # First: a cancelled request ends, which would look like the end of its reply.
                request.found.put(EngineClosed())
                request.cancel()
        if thread:
            thread.join()
        self._pipeline = None

    def _start(self, prompt: list[int], config: openvino_genai.GenerationConfig) -> Request:
        import numpy as np
        import openvino

        input_ids = openvino.Tensor(np.array([prompt], dtype=np.int64))
        with self._lock:
            if self.is_closed:
                raise EngineClosed
            handle = self._pipeline.add_request(next(self._ids), input_ids, config)
            request = Request(handle, config.num_return_sequences)
            self._running.append(request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="chat-serve", daemon=True)
                self._thread.start()
        return request

    def _serve(self) -> None:
        has_failed = False
        while True:
            with self._lock:
                # What a failed step has left in the pipeline goes with the steps of the next request.
                if not self._running and (has_failed or not self._pipeline.has_non_finished_requests()):
                    self._thread = None
                    return
            try:
                self._pipeline.step()
            except Exception as error:
                has_failed = True
                self._fail(error)
                continue
            has_failed = False
            ended = [request for request in list(self._running) if request.collect()]
            with self._lock:
                self._running = [request for request in self._running if request not in ended]

    def _fail(self, error: Exception) -> None:
        """Gives all requests an error of the pipeline, which comes from no single one of them."""
        with self._lock:
            for request in self._running:
                request.cancel()
                request.release()
                request.found.put(error)
            self._running = []


def _found(request: Request) -> Iterator[list[openvino_genai.GenerationOutput]]:
    try:
        yield []
        while (found := request.found.get()) is not None:
            if isinstance(found, Exception):
                raise found
            yield found
    finally:
        request.cancel()


class Request:
    """One request, as the serving thread sees it.

    Attributes:
        found: what was drawn, in turn; None after the last, an exception instead of what failed.
    """

    def __init__(self, handle: openvino_genai.GenerationHandle, replies: int):
        self._handle: openvino_genai.GenerationHandle | None = handle
        self._replies = replies
        self._delivered_at = 0.0
        self.found: queue.SimpleQueue = queue.SimpleQueue()

    def collect(self) -> bool:
        """Passes on what the last steps drew, or an error in reading it; whether the request has ended."""
        import openvino_genai

        handle = self._handle
        try:
            ended = handle.get_status() != openvino_genai.GenerationStatus.RUNNING
            self._pass_on(handle, ended)
        except RuntimeError as error:
            # The pipeline lets nobody read what is cancelled, as the reply's reader may do at any moment.
            ended = True
            handle.cancel()
            self.found.put(error)
        if ended:
            self.release()
            self.found.put(None)
        return ended

    def _pass_on(self, handle: openvino_genai.GenerationHandle, ended: bool) -> None:
        if self._replies > 1:
            if ended and handle.can_read():
                self.found.put(handle.read_all())
            return
        if not ended and time.monotonic() - self._delivered_at <= DELIVER_EVERY_SECONDS:
            return
        drawn = []
        while handle.can_read():
            drawn += handle.read().values()
        if drawn:
            self.found.put(drawn)
            self._delivered_at = time.monotonic()

    def cancel(self) -> None:
        """Ends it at the next step, if it has not ended; from any thread."""
        if handle := self._handle:
            handle.cancel()

    def release(self) -> None:
        """Lets go of what belongs to the pipeline, whose memory an exception's traceback could hold."""
        self._handle = None
