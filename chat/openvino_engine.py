"""The engine for CPUs: OpenVINO GenAI, whose continuous batching serves all conversations at once.

Its prefix cache keeps what was computed of a conversation: a late turn costs no more than an early one.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chat.best_of import Candidate
from chat.cli import UserError, first_line
from chat.compiled_models import in_a_passing_thread, kept_in_forks
from chat.continuous_batching import Server, load_pipeline
from chat.decoding import DecodingSettings
from chat.engine import ChatEngine
from chat.export.cache import MODEL_FILE, exported_folder
from chat.export.check import log_softmax
from chat.hub.loading import load_generation_config, model_folder
from chat.padding import padded
from chat.quiet import without_telemetry

if TYPE_CHECKING:
    import openvino_genai
    from transformers import PreTrainedTokenizerBase

WEIGHTS = "int8"
CPU_PROPERTIES = {
    # Pinned to its core, a thread of OpenVINO waits for whatever else runs there.
    "ENABLE_CPU_PINNING": False,
    # Else weights are read from the files as they are then: one that is written over would end the process.
    "ENABLE_MMAP": False,
}
# Of one batch of the scorer: 128 MB in float32.
MAX_LOGITS = 2**25


class OpenVinoEngine(ChatEngine):
    """An exported GPT-2 under OpenVINO GenAI."""

    def __init__(
        self,
        folder: Path,
        tokenizer: PreTrainedTokenizerBase,
        name: str,
        settings: DecodingSettings,
        positions: int,
        properties: dict[str, Any],
    ):
        """
        Args:
            folder: an export of `python -m chat.export --to openvino`.
            properties: of OpenVINO's CPU device, such as `INFERENCE_PRECISION_HINT`.
        """
        super().__init__(tokenizer, name, settings, positions)
        self._folder, self._properties = folder, {**CPU_PROPERTIES, **properties}
        self._scorer: Scorer | None = None
        self._compiling = threading.Lock()
        with ThreadPoolExecutor(1) as beside:
            # Compiles the scorer beside the pipeline, so that the first visitor need not wait for it.
            scorer = beside.submit(self._loaded_scorer) if settings.best_of > 1 else None
            self._server = Server(load_pipeline(folder, positions, self._properties))
        if scorer:
            scorer.result()

    @classmethod
    def load(
        cls,
        name: str,
        tokenizer: PreTrainedTokenizerBase,
        positions: int,
        flag: str,
        weights: str = WEIGHTS,
        **properties: Any,
    ) -> OpenVinoEngine:
        """Loads a model's export, which is made where there is none.

        Raises:
            UserError: the model cannot be loaded or exported, or its export is not of its weights or damaged.
        """
        try:
            with without_telemetry():
                import openvino_genai  # noqa: F401
        except ModuleNotFoundError:
            raise UserError(
                "--engine openvino: `openvino-genai` is not installed; use the torch engine"
            ) from None
        except ImportError as error:
            # As where pip took an `openvino` that is newer than the `openvino-genai` beside it.
            raise UserError(
                f"--engine openvino: cannot be loaded ({first_line(error)}); install `openvino` in the "
                f"version of `openvino-genai`, {version('openvino-genai')}, or use the torch engine"
            ) from error
        folder = model_folder(name, flag)

        def export(empty: Path) -> None:
            from chat.export.run import write_export

            write_export(folder, empty, "openvino", weights, flag)

        exported = exported_folder(folder, weights, flag, export)
        settings = DecodingSettings.from_generation_config(load_generation_config(str(folder), flag))
        try:
            return cls(exported, tokenizer, name, settings, positions, properties)
        except RuntimeError as error:
            # As where a power failure left zeros in a file, or a newer OpenVINO has written it.
            raise UserError(
                f"{flag} {name}: its OpenVINO export cannot be loaded ({first_line(error)}); "
                f"remove {exported}, which is then made anew, or use the torch engine"
            ) from error

    @property
    def is_closed(self) -> bool:
        return self._server.is_closed

    def close(self) -> None:
        # In a fork the wait for its threads would never end.
        if not self.is_forked:
            self._server.close()
            self._scorer = None

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
        return self._loaded_scorer().log_probs(prompts, replies)

    def _loaded_scorer(self) -> Scorer:
        with self._compiling:
            scorer = self._scorer = self._scorer or Scorer(self._folder, self._properties)
        return scorer

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


class Scorer:
    """log P(reply | prompt) under an exported model, compiled once more for this: without paged attention."""

    def __init__(self, folder: Path, properties: dict[str, Any]):
        import openvino

        model = in_a_passing_thread(
            lambda: openvino.Core().compile_model(folder / MODEL_FILE, "CPU", properties)
        )
        self._request = kept_in_forks(model.create_infer_request())
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

        texts = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]
        ids, mask = (each.numpy() for each in padded(texts))
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
