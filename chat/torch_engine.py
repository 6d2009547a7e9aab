"""The reference engine: `transformers.generate` on any device. One request at a time; further ones wait."""

from __future__ import annotations

import atexit
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chat.best_of import Candidate, draw_candidates, reply_log_probs
from chat.decoding import DecodingSettings
from chat.devices import computes_in_bfloat16, fastest_device
from chat.engine import ChatEngine, EngineClosed
from chat.hub.loading import load_causal_lm

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# One step of a large model on few cores, with time to spare.
EXIT_SECONDS = 10.0


class TorchEngine(ChatEngine):
    """A causal language model in torch. Its random stream is seeded by each request, which runs alone."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, positions: int):
        from transformers import GenerationConfig

        settings = DecodingSettings.from_generation_config(model.generation_config)
        # `generate` would take from it what the settings do not have, such as a penalty of repetition, which
        # no other engine knows.
        model.generation_config = GenerationConfig()
        super().__init__(tokenizer, name, settings, positions)
        self.model: PreTrainedModel | None = model
        self._one_request = threading.Lock()
        self._drawing: set[threading.Thread] = set()
        # What is raised from then on.
        self._end: type[BaseException] | None = None
        _engines.add(self)

    @classmethod
    def load(
        cls,
        name: str,
        tokenizer: PreTrainedTokenizerBase,
        positions: int,
        flag: str,
        dtype: torch.dtype | None = None,
    ) -> TorchEngine:
        """Loads a model onto the accelerator, if there is one.

        Args:
            dtype: of the weights; None takes bfloat16 where the device computes in it, else float32.

        Raises:
            UserError: it cannot be loaded.
        """
        import torch

        device = fastest_device()
        fast = torch.bfloat16 if computes_in_bfloat16(device) else torch.float32
        model = load_causal_lm(name, flag).to(device, dtype or fast)
        # By it transformers warns of padding that it takes for unmasked: drafts that ended before the others.
        model.config.pad_token_id = None
        return cls(model, tokenizer, name, positions)

    @property
    def is_closed(self) -> bool:
        return self._end is not None

    def close(self) -> None:
        self._end = EngineClosed
        # In a fork nobody may be left who would release the lock.
        if not self.is_forked:
            with self._one_request:
                self.model = None

    def end_with_interpreter(self) -> None:
        """Ends what is computed at the next token, without a word to whoever waits for it in a thread."""
        self._end = SystemExit

    def wait_for_end(self, seconds: float) -> None:
        """Waits till nothing is computed any more, no longer than this."""
        until = time.monotonic() + seconds
        for thread in list(self._drawing):
            thread.join(max(0.0, until - time.monotonic()))
        # A thread of the user's may compute, too: several drafts, or scores.
        if self._one_request.acquire(timeout=max(0.0, until - time.monotonic())):
            self._one_request.release()

    def draw(self, prompt: list[int], settings: DecodingSettings, seed: int) -> Iterator[list[int]]:
        """`generate` runs in a thread that ends with the iterator.

        It waits for its turn there, or a caller that reads two replies in alternation would deadlock.
        """
        import torch

        drawn = _DrawnIds()
        stopped = threading.Event()
        outcome: dict = {}

        def generate() -> None:
            try:
                with self._alone() as model, _seeded(seed, model.device):
                    input_ids = torch.tensor([prompt], device=model.device)
                    model.generate(
                        input_ids,
                        attention_mask=torch.ones_like(input_ids),
                        generation_config=settings.to_generation_config(self.tokenizer),
                        logits_processor=settings.logits_processors(len(prompt)),
                        stopping_criteria=_stop_when(lambda: stopped.is_set() or self.is_closed),
                        streamer=drawn,
                    )
            except BaseException as error:
                outcome["error"] = error
            finally:
                drawn.end()

        thread = threading.Thread(target=generate, name="chat-generate", daemon=True)
        thread.start()
        self._drawing.add(thread)
        try:
            yield from drawn
        finally:
            stopped.set()
            thread.join()
            self._drawing.discard(thread)
        if "error" in outcome:
            raise outcome["error"]

    def _draw_candidates(self, prompt: list[int], settings: DecodingSettings, seed: int) -> list[Candidate]:
        import torch

        with self._alone() as model, _seeded(seed, model.device):
            input_ids = torch.tensor([prompt], device=model.device)
            [candidates] = draw_candidates(
                model,
                input_ids,
                torch.ones_like(input_ids),
                settings.to_generation_config(self.tokenizer),
                settings.best_of,
                logits_processor=settings.logits_processors(len(prompt)),
                stopping_criteria=_stop_when(lambda: self.is_closed),
            )
        return candidates

    def _reply_log_probs(self, prompts: list[list[int]], replies: list[list[int]]) -> list[float]:
        with self._alone() as model:
            return reply_log_probs(model, prompts, replies, self.tokenizer.eos_token_id)

    @contextmanager
    def _alone(self) -> Iterator[PreTrainedModel]:
        """The model, for one request at a time; an error where the engine has ended, or ends meanwhile."""
        with self._one_request:
            self._raise_if_ended()
            yield self.model
            self._raise_if_ended()

    def _raise_if_ended(self) -> None:
        if self._end:
            raise self._end


_engines: weakref.WeakSet[TorchEngine] = weakref.WeakSet()


@atexit.register
def _end_computations() -> None:
    """A daemon thread that the interpreter's end finds in torch's C++ would abort the process."""
    engines = [engine for engine in _engines if not engine.is_forked]
    for engine in engines:
        engine.end_with_interpreter()
    until = time.monotonic() + EXIT_SECONDS
    for engine in engines:
        engine.wait_for_end(until - time.monotonic())


class _DrawnIds:
    """A streamer for `generate`, iterated from another thread: lists of new ids as they are drawn."""

    def __init__(self):
        self._queue: queue.SimpleQueue[list[int] | None] = queue.SimpleQueue()
        self._is_prompt = True

    def put(self, ids: torch.Tensor) -> None:
        if not self._is_prompt:
            self._queue.put(ids.reshape(-1).tolist())
        self._is_prompt = False

    def end(self) -> None:
        self._queue.put(None)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._queue.get, None)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """A random stream of the request's own; the process's is afterwards where it was."""
    import torch

    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
        torch.manual_seed(seed)
        yield


def _stop_when(is_stopped: Callable[[], bool]) -> list[Callable[..., torch.Tensor]]:
    """Stopping criteria for `generate`, which asks of each row (rows,) whether it has ended."""
    return [lambda ids, scores, **_: ids.new_full((len(ids),), is_stopped()).bool()]
