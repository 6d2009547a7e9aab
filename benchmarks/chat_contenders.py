"""The contenders of `benchmarks.chat_speed`, each serving one model in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from chat.cli import UserError
from chat.decoding import DecodingSettings

# Where in a model's folder or beside it its other forms lie.
CTRANSLATE2, ONNX = "ctranslate2", "model-onnx"


@dataclass(frozen=True)
class Drawn:
    """One reply's times since it was asked for, in seconds."""

    first_token_seconds: float
    seconds: float
    tokens: int


class Engine:
    """One of ours, under greedy search, which all contenders use."""

    def __init__(self, folder: Path, **options: Any):
        from chat.engine import load_engine

        self.engine = load_engine(str(folder), **options)

    def draw(self, prompt: list[int], new_tokens: int) -> Iterator[int]:
        """The ids of a reply of exactly `new_tokens`, as they come."""
        settings = DecodingSettings(do_sample=False, max_new_tokens=new_tokens, min_new_tokens=new_tokens)
        for ids in self.engine.draw(prompt, settings, seed=0):
            yield from ids

    def reply_seconds(self, messages: list[dict]) -> float:
        """Of a whole reply by the model's own settings, checks and guard included."""
        start = time.perf_counter()
        self.engine.reply(messages)
        return time.perf_counter() - start


class TransformersFp32(Engine):
    def __init__(self, folder: Path):
        import torch

        super().__init__(folder, engine="torch", dtype=torch.float32)


class OpenVino(Engine):
    def draw_all(self, prompts: list[list[int]], new_tokens: int) -> list[Drawn]:
        """Replies to several users who ask at the same moment."""
        with ThreadPoolExecutor(len(prompts)) as users:
            return [*users.map(lambda prompt: timed(self.draw(prompt, new_tokens)), prompts)]


class OnnxRuntime:
    """The int8 export of `python -m chat.export --to onnx`, in a loop of numpy."""

    def __init__(self, folder: Path):
        from chat.export.onnx import FILES, OnnxDecoder
        from chat.hub.loading import load_config

        config = load_config(str(folder), "--model")
        self.eos_token_id = config.eos_token_id
        self.decoder = OnnxDecoder(folder.parent / ONNX / "onnx" / FILES["int8"], config)

    def draw(self, prompt: list[int], new_tokens: int) -> Iterator[int]:
        self.decoder.start()
        ids = prompt
        for _ in range(new_tokens):
            logits = self.decoder.feed(ids)[-1]
            logits[self.eos_token_id] = -float("inf")
            ids = [int(logits.argmax())]
            yield ids[0]


class CTranslate2:
    """Its own converter's int8. Several users are one batch, the best case: it has no continuous batching."""

    def __init__(self, folder: Path):
        import ctranslate2

        from chat.hub.loading import load_tokenizer

        self.tokenizer = load_tokenizer(str(folder), "--model")
        self.generator = ctranslate2.Generator(str(folder / CTRANSLATE2), device="cpu", compute_type="int8")

    def draw(self, prompt: list[int], new_tokens: int) -> Iterator[int]:
        tokens = self.tokenizer.convert_ids_to_tokens(prompt)
        steps = self.generator.generate_tokens(
            tokens, max_length=new_tokens, min_length=new_tokens, end_token=[self.tokenizer.eos_token]
        )
        return (step.token_id for step in steps)

    def draw_all(self, prompts: list[list[int]], new_tokens: int) -> list[Drawn]:
        start = time.perf_counter()
        first: dict[int, float] = {}
        results = self.generator.generate_batch(
            [self.tokenizer.convert_ids_to_tokens(prompt) for prompt in prompts],
            max_length=new_tokens,
            min_length=new_tokens,
            end_token=[self.tokenizer.eos_token],
            include_prompt_in_result=False,
            callback=lambda step: first.setdefault(step.batch_id, time.perf_counter() - start) is None,
        )
        seconds = time.perf_counter() - start
        drawn = [len(result.sequences_ids[0]) for result in results]
        return [Drawn(first[index], seconds, tokens) for index, tokens in enumerate(drawn)]


CONTENDERS: dict[str, Callable[[Path], Any]] = {
    "transformers fp32": TransformersFp32,
    "torch engine": partial(Engine, engine="torch"),
    "OpenVINO engine, int8": partial(OpenVino, engine="openvino"),
    "CTranslate2 int8": CTranslate2,
    "ONNX Runtime int8": OnnxRuntime,
}


def timed(draws: Iterator[int]) -> Drawn:
    """Draws to the end."""
    start = time.perf_counter()
    times = [time.perf_counter() - start for _ in draws]
    return Drawn(times[0], times[-1], len(times))


class Process:
    """A contender in a process, which lives until `close`."""

    def __init__(self, name: str, folder: Path):
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, folder), daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def one(self, prompt: list[int], new_tokens: int) -> Drawn:
        return self._ask("one", prompt, new_tokens)

    def many(self, prompts: list[list[int]], new_tokens: int) -> list[Drawn] | None:
        """None where the contender serves one user at a time."""
        return self._ask("many", prompts, new_tokens)

    def reply_seconds(self, messages: list[dict]) -> float:
        return self._ask("reply_seconds", messages)

    def peak_memory_bytes(self) -> int:
        """Resident, of the whole process since its start."""
        return self._ask("peak_memory_bytes")

    def close(self) -> None:
        self._connection.send(None)
        self._process.join()

    def _ask(self, *command: Any) -> Any:
        self._connection.send(command)
        return self._answer()

    def _answer(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            self._process.join()
            answer = UserError(f"{self.name}: its process ended with status {self._process.exitcode}")
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(connection: Connection, name: str, folder: Path) -> None:
    try:
        contender = CONTENDERS[name](folder)
        answers = {
            "one": lambda prompt, new_tokens: timed(contender.draw(prompt, new_tokens)),
            "many": getattr(contender, "draw_all", lambda *_: None),
            "reply_seconds": getattr(contender, "reply_seconds", None),
            "peak_memory_bytes": _peak_memory_bytes,
        }
        connection.send(None)
        while (command := connection.recv()) is not None:
            what, *arguments = command
            connection.send(answers[what](*arguments))
    except Exception as error:
        connection.send(error)


def _peak_memory_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    [kilobytes] = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024
