"""The engine for CPUs: OpenVINO GenAI, whose continuous batching serves all conversations at once.

Its prefix cache keeps what was computed of a conversation: a late turn costs no more than an early one.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Iterator
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chat.best_of import Candidate
from chat.cli import UserError
from chat.decoding import DecodingSettings
from chat.engine import ChatEngine
from chat.export.cache import exported_folder
from chat.export.openvino import MODEL_FILE, in_a_passing_thread
from chat.export.quiet import without_telemetry
from chat.hub.loading import load_config, load_generation_config, model_folder

if TYPE_CHECKING:
    import openvino_genai
    from transformers import PreTrainedTokenizerBase

WEIGHTS = "int8"
CACHED_CONTEXTS = 32
CACHE_BLOCK_TOKENS = 32
# Of one batch of the scorer: 128 MB in float32.
MAX_LOGITS = 2**25
# No faster than a screen shows it: each delivery wakes a thread, which costs the others CPU time.
DELIVER_EVERY_SECONDS = 0.02
# Prompt tokens of one step: a long prompt comes in parts, between which the other conversations go on.
MAX_BATCHED_TOKENS = 256


class OpenVinoEngine(ChatEngine):
    """An exported GPT-2 under OpenVINO GenAI."""

    def __init__(
        self,
        folder: Path,
        tokenizer: PreTrainedTokenizerBase,
        name: str,
        settings: DecodingSettings,
        positions: int,
        properties: dict[str, Any] | None = None,
    ):
        """
        Args:
            folder: an export of `python -m chat.export --to openvino`.
            properties: of OpenVINO's CPU device, such as `INFERENCE_PRECISION_HINT`.
        """
        super().__init__(tokenizer, name, settings, positions)
        # Pinned to its core, a thread of OpenVINO waits for whatever else runs there.
        self._folder, self._properties = folder, {"ENABLE_CPU_PINNING": False, **(properties or {})}
        self._server: Server | None = Server(_pipeline(folder, positions, self._properties))
        if settings.best_of > 1:
            self._generic_log_probs([Candidate([tokenizer.eos_token_id], [0.0])])

    @classmethod
    def load(
        cls, name: str, tokenizer: PreTrainedTokenizerBase, flag: str, weights: str = WEIGHTS, **properties
    ) -> OpenVinoEngine:
        """Loads a model's export, which is made where there is none.

        Raises:
            UserError: the model cannot be loaded or exported, or its export is not of its weights.
        """
        try:
            with without_telemetry():
                import openvino_genai  # noqa: F401
        except ImportError:
            raise UserError(
                "--engine openvino: `openvino-genai` is not installed; use --engine torch"
            ) from None
        folder = model_folder(name, flag)

        def export(empty: Path) -> None:
            from chat.export.run import write_export

            write_export(folder, empty, "openvino", weights, flag)

        return cls(
            exported_folder(folder, weights, flag, export),
            tokenizer,
            name,
            DecodingSettings.from_generation_config(load_generation_config(str(folder), flag)),
            load_config(str(folder), flag).max_position_embeddings,
            properties,
        )

    @property
    def is_closed(self) -> bool:
        return self._server is None

    def close(self) -> None:
        if self._server:
            self._server.close()
        self._server = None
        self.__dict__.pop("_scorer", None)

    def draw(self, prompt: list[int], settings: DecodingSettings, seed: int) -> Iterator[list[int]]:
        for outputs in self._server.outputs(prompt, self._config(settings, seed)):
            yield [id_ for output in outputs for id_ in output.generated_ids]

    def _draw_candidates(self, prompt: list[int], settings: DecodingSettings, seed: int) -> list[Candidate]:
        if settings.frequency_penalty:
            return self._draw_apart(prompt, settings, seed)
        config = self._config(settings, seed)
        config.num_return_sequences, config.logprobs = settings.best_of, 1
        [outputs] = self._server.outputs(prompt, config)
        return [Candidate(output.generated_ids, output.generated_log_probs) for output in outputs]

    def _draw_apart(self, prompt: list[int], settings: DecodingSettings, seed: int) -> list[Candidate]:
        """Each candidate by a request of its own: in one request they would share the penalty's counts."""
        seeds = random.Random(seed)
        draws = []
        for _ in range(settings.best_of):
            config = self._config(settings, seeds.getrandbits(32))
            config.logprobs = 1
            draws.append(self._server.outputs(prompt, config))
        whole = [[output for outputs in draw for output in outputs] for draw in draws]
        return [
            Candidate(
                [id_ for output in outputs for id_ in output.generated_ids],
                [score for output in outputs for score in output.generated_log_probs],
            )
            for outputs in whole
        ]

    def _reply_log_probs(self, prompts: list[list[int]], replies: list[list[int]]) -> list[float]:
        return self._scorer.log_probs(prompts, replies)

    @cached_property
    def _scorer(self) -> Scorer:
        return Scorer(self._folder, self._properties)

    def _config(self, settings: DecodingSettings, seed: int) -> openvino_genai.GenerationConfig:
        import openvino_genai

        given = {
            "do_sample": settings.do_sample,
            "max_new_tokens": settings.max_new_tokens,
            "min_new_tokens": settings.min_new_tokens,
            "frequency_penalty": settings.frequency_penalty,
            "eos_token_id": self.tokenizer.eos_token_id,
        }
        if settings.do_sample:
            given |= {
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "top_k": settings.top_k,
                "rng_seed": seed,
            }
        return openvino_genai.GenerationConfig(**given)


def _pipeline(
    folder: Path, positions: int, properties: dict[str, Any]
) -> openvino_genai.ContinuousBatchingPipeline:
    import openvino_genai

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.num_kv_blocks = CACHED_CONTEXTS * positions // CACHE_BLOCK_TOKENS
    scheduler.enable_prefix_caching = True
    scheduler.max_num_batched_tokens = MAX_BATCHED_TOKENS
    return in_a_passing_thread(
        openvino_genai.ContinuousBatchingPipeline, str(folder), scheduler, "CPU", properties
    )


class Server:
    """The thread that steps a pipeline while there are requests; it ends with the last of them."""

    def __init__(self, pipeline: openvino_genai.ContinuousBatchingPipeline):
        self._pipeline = pipeline
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
        return _found(self._start(prompt, config))

    def close(self) -> None:
        """Ends what runs, and gives the memory back."""
        with self._lock:
            thread = self._thread
            for request in self._running:
                # First: a cancelled request ends, which would look like the end of its reply.
                request.found.put(RuntimeError("the engine was closed"))
                request.cancel()
        if thread:
            thread.join()
        self._pipeline = None

    def _start(self, prompt: list[int], config: openvino_genai.GenerationConfig) -> Request:
        import numpy as np
        import openvino

        input_ids = openvino.Tensor(np.array([prompt], dtype=np.int64))
        with self._lock:
            if self._pipeline is None:
                raise RuntimeError("the engine was closed")
            handle = self._pipeline.add_request(next(self._ids), input_ids, config)
            request = Request(handle, config.num_return_sequences)
            self._running.append(request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="chat-serve", daemon=True)
                self._thread.start()
        return request

    def _serve(self) -> None:
        while True:
            with self._lock:
                if not self._running and not self._pipeline.has_non_finished_requests():
                    self._thread = None
                    return
            try:
                self._pipeline.step()
            except Exception as error:
                self._fail(error)
                continue
            ended = [request for request in list(self._running) if request.collect()]
            with self._lock:
                self._running = [request for request in self._running if request not in ended]

    def _fail(self, error: Exception) -> None:
        """Gives an error of the pipeline, which is about no single request, to all of them."""
        with self._lock:
            for request in self._running:
                request.cancel()
                request.release()
                request.found.put(error)
            self._running = []


def _found(request: Request) -> Iterator[list[openvino_genai.GenerationOutput]]:
    try:
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
        """Passes on what the last steps drew; whether the request has ended."""
        import openvino_genai

        handle = self._handle
        ended = handle.get_status() != openvino_genai.GenerationStatus.RUNNING
        if self._replies == 1:
            if ended or time.monotonic() - self._delivered_at > DELIVER_EVERY_SECONDS:
                self._deliver(handle)
        elif ended and handle.can_read():
            self.found.put(handle.read_all())
        if ended:
            self.release()
            self.found.put(None)
        return ended

    def _deliver(self, handle: openvino_genai.GenerationHandle) -> None:
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
        """Lets go of what belongs to the pipeline, whose memory is not to hang on somebody's exception."""
        self._handle = None


class Scorer:
    """log P(reply | prompt) under an exported model, compiled once more for this: without paged attention."""

    def __init__(self, folder: Path, properties: dict[str, Any]):
        import openvino

        model = in_a_passing_thread(
            lambda: openvino.Core().compile_model(folder / MODEL_FILE, "CPU", properties)
        )
        self._request = model.create_infer_request()
        self._one_at_a_time = threading.Lock()
        self._vocabulary = model.output("logits").partial_shape[-1].get_length()

    def log_probs(self, prompts: list[list[int]], replies: list[list[int]]) -> list[float]:
        """Sum over the tokens of each reply, after its prompt, in nats."""
        longest = max(len(prompt) + len(reply) for prompt, reply in zip(prompts, replies, strict=True))
        rows = max(1, MAX_LOGITS // (longest * self._vocabulary))
        with self._one_at_a_time:
            return [
                found
                for start in range(0, len(replies), rows)
                for found in self._batch(prompts[start : start + rows], replies[start : start + rows])
            ]

    def _batch(self, prompts: list[list[int]], replies: list[list[int]]) -> list[float]:
        import numpy as np

        from chat.export.check import log_softmax

        texts = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]
        ids = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        self._request.reset_state()
        logits = self._request.infer(
            {
                "input_ids": ids,
                "attention_mask": mask,
                "position_ids": np.broadcast_to(np.arange(ids.shape[1]), ids.shape),
                "beam_idx": np.arange(len(replies), dtype=np.int32),
            }
        )["logits"]
        return [
            float(
                log_softmax(logits[row, len(prompt) - 1 : len(prompt) - 1 + len(reply)])[
                    np.arange(len(reply)), reply
                ].sum()
            )
            for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
        ]
