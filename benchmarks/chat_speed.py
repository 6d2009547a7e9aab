"""How fast the engine answers, beside `transformers.generate`, CTranslate2 and ONNX Runtime.

    python -m benchmarks.chat_speed --output benchmarks/results/chat_speed.json

Of each model, here a GPT-2 of random weights and the embedded one, all contenders draw replies to the same
prompts in turns, so that the noise of the machine meets all of them. Prints tables and, last, a line of JSON.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.chat_contenders import CONTENDERS, CTRANSLATE2, Drawn, Process
from benchmarks.chat_report import BASELINE, OURS, render
from benchmarks.reports import describe_cpu, report
from chat import jsonl
from chat.cli import UserError, parse_arguments, run
from chat.dialogue import ASSISTANT, USER
from chat.export.arguments import SAMPLE_DIALOGUES, ExportArguments
from chat.hub.loading import load_causal_lm, load_tokenizer, model_folder
from chat.template import add_chat_format, encode_prompt, fit_positions
from training.model import build_model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


PROMPT_TOKENS, USERS = 128, 8
SHORT_REPLY_TOKENS = 30
# Of user and assistant together.
TURN_TOKENS, EARLY_TURN, LATE_TURN, TURNS = 60, 2, 15, 20
PACKAGES = ("torch", "transformers", "openvino-genai", "ctranslate2", "onnxruntime")


@dataclass(frozen=True)
class SpeedArguments:
    model: str = field(
        default="models/pocket", metadata={"help": "Path or Hub id of a GPT-2 in our chat format."}
    )
    random_config: str = field(
        default="training/configs/models/gpt2-124m.json",
        metadata={"help": "Configuration of the GPT-2 of random weights."},
    )
    tokenizer: str = field(
        default="openai-community/gpt2", metadata={"help": "Path or Hub id of that GPT-2's tokenizer."}
    )
    new_tokens: int = field(default=64, metadata={"help": "Tokens of a reply."})
    rounds: int = field(default=5, metadata={"help": "Turns that each contender takes."})
    seed: int = field(default=0, metadata={"help": "Seed of the weights and the prompts."})
    output: str | None = field(default=None, metadata={"help": "File for the JSON."})

    def __post_init__(self):
        for flag, given in (("--new-tokens", self.new_tokens), ("--rounds", self.rounds)):
            if given < 2:
                raise UserError(f"{flag} {given}: give at least 2")


class Prompts:
    """Prompts of about as many tokens as asked for, none like another, in the chat format."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, positions: int, new_tokens: int, seed: int):
        self.tokenizer, self.random = tokenizer, random.Random(seed)
        self.max_tokens, _ = fit_positions(positions, new_tokens)
        text = SAMPLE_DIALOGUES.read_text(encoding="utf-8")
        words = sorted({word for word in text.split() if word.isalpha()})
        self.words = [word for word in words if len(tokenizer.tokenize(" " + word)) == 1]

    def one(self) -> list[int]:
        return self._ids([self._message(USER, PROMPT_TOKENS)])

    def conversation(self) -> list[list[int]]:
        """The prompt of each turn of a conversation that grows by `TURN_TOKENS` a turn."""
        messages, prompts = [], []
        for _ in range(TURNS):
            messages.append(self._message(USER, TURN_TOKENS // 2))
            prompts.append(self._ids(messages))
            messages.append(self._message(ASSISTANT, TURN_TOKENS // 2))
        return prompts

    def _message(self, role: str, tokens: int) -> dict:
        """`tokens` with those that frame it."""
        return {"role": role, "content": " ".join(self.random.choices(self.words, k=tokens - 2))}

    def _ids(self, messages: list[dict]) -> list[int]:
        return encode_prompt(self.tokenizer, messages, self.max_tokens)


def benchmark(arguments: SpeedArguments) -> dict:
    """Measures both models; see the module's text.

    Raises:
        UserError: a model cannot be loaded or exported, or a contender fails.
    """
    found = {"versions": {package: version(package) for package in PACKAGES}}
    found |= {"cpus": os.cpu_count(), "cpu": describe_cpu(), "load_average_before": os.getloadavg()[0]}
    with TemporaryDirectory() as scratch:
        drawn, embedded = Path(scratch) / "random" / "model", Path(scratch) / "embedded" / "model"
        _save_random_model(arguments, drawn)
        ignored = shutil.ignore_patterns("openvino")
        shutil.copytree(model_folder(arguments.model, "--model"), embedded, ignore=ignored)
        found["models"] = {
            "random": {"what": arguments.random_config, **_measure_model(drawn, arguments)},
            "embedded": {"what": arguments.model, **_measure_model(embedded, arguments, says=True)},
        }
    return found


def _save_random_model(arguments: SpeedArguments, folder: Path) -> None:
    from transformers import set_seed

    tokenizer = add_chat_format(load_tokenizer(arguments.tokenizer, "--tokenizer"))
    set_seed(arguments.seed)
    build_model(arguments.random_config, tokenizer, longest_sequence=1).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _measure_model(folder: Path, arguments: SpeedArguments, says: bool = False) -> dict:
    """Exports the model in every form, and measures.

    Args:
        says: its replies are language, so that it can be measured with checks and sampling too.
    """
    quality = _export(folder)
    tokenizer, model = load_tokenizer(str(folder), "--model"), load_causal_lm(str(folder), "--model")
    prompts = Prompts(tokenizer, model.config.max_position_embeddings, arguments.new_tokens, arguments.seed)
    parameters = model.num_parameters()
    del model
    processes = {name: Process(name, folder) for name in CONTENDERS}
    try:
        rounds = [_round(processes, prompts, arguments.new_tokens) for _ in range(arguments.rounds + 1)][1:]
        ours = _measure_ours(processes[OURS], prompts, arguments.rounds, says)
        memory = {name: process.peak_memory_bytes() for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.close()
    contenders = {
        name: {**_speeds([each[name] for each in rounds]), "peak_memory_bytes": memory[name]}
        for name in CONTENDERS
    }
    speedups = [_per_second(each[OURS]["one"]) / _per_second(each[BASELINE]["one"]) for each in rounds]
    return {
        "parameters": parameters,
        "contenders": contenders,
        "speedup": median(speedups),
        "perplexity_change": quality,
        **ours,
        "cold_start_seconds": median(_cold_start(folder) for _ in range(3)),
    }


def _export(folder: Path) -> dict[str, float]:
    """Writes what the contenders load; the change of perplexity of what our own exports check."""
    from ctranslate2.converters import TransformersConverter

    from chat.export.run import export_model

    changes = {}
    for contender, target in ((OURS, "openvino"), ("ONNX Runtime int8", "onnx")):
        _, found = export_model(ExportArguments(model=str(folder), to=target))
        changes[contender] = found.perplexity_change
    TransformersConverter(str(folder)).convert(str(folder / CTRANSLATE2), quantization="int8")
    return changes


def _round(processes: dict[str, Process], prompts: Prompts, new_tokens: int) -> dict[str, dict]:
    one, many = prompts.one(), [prompts.one() for _ in range(USERS)]
    return {
        name: {"one": process.one(one, new_tokens), "many": process.many(many, new_tokens)}
        for name, process in processes.items()
    }


def _per_second(drawn: Drawn) -> float:
    return drawn.tokens / drawn.seconds


def _speeds(rounds: list[dict]) -> dict[str, float]:
    """Medians over the rounds, but of the first tokens of many users their 95th percentile."""
    speeds = {
        "tokens_per_second": median(_per_second(each["one"]) for each in rounds),
        "first_token_seconds": median(each["one"].first_token_seconds for each in rounds),
    }
    if rounds[0]["many"] is None:
        return speeds
    totals = [
        sum(drawn.tokens for drawn in each["many"]) / max(drawn.seconds for drawn in each["many"])
        for each in rounds
    ]
    first = [drawn.first_token_seconds for each in rounds for drawn in each["many"]]
    ratios = [total / _per_second(each["one"]) for total, each in zip(totals, rounds, strict=True)]
    return {
        **speeds,
        "users_tokens_per_second": median(totals),
        "users_against_one": median(ratios),
        "users_first_token_seconds_p95": quantiles(first, n=20, method="inclusive")[-1],
    }


def _measure_ours(process: Process, prompts: Prompts, rounds: int, says: bool) -> dict:
    """What only the engine that is the default is asked."""
    turns = [
        [process.one(prompt, 2).first_token_seconds for prompt in prompts.conversation()]
        for _ in range(rounds)
    ]
    first = [median(times) for times in zip(*turns, strict=True)]
    found = {
        "turn_first_token_seconds": first,
        "late_turn_against_early": first[LATE_TURN - 1] / first[EARLY_TURN - 1],
        "slowest_turn_against_early": max(first) / first[EARLY_TURN - 1],
        "short_reply_seconds": median(
            process.one(prompts.one(), SHORT_REPLY_TOKENS).seconds for _ in range(rounds)
        ),
    }
    if says:
        asked = [each.messages()[:2] for each in jsonl.read(SAMPLE_DIALOGUES, flag="--dialogues")][:20]
        asked = [messages for messages in asked if messages[-1]["role"] == USER]
        found["own_settings_reply_seconds"] = median(map(process.reply_seconds, asked))
    return found


def _cold_start(folder: Path) -> float:
    """From the start of `python -m chat` to its first reply, in seconds; the export is there.

    Raises:
        UserError: it gave no reply.
    """
    start = time.perf_counter()
    command = [sys.executable, "-m", "chat", "--model", str(folder), "--engine", "openvino"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        process.stdin.write("Hi! How are you?\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith("GPT-2: "):
                return time.perf_counter() - start
    raise UserError(f"`{' '.join(command)}` ended without a reply")


def main() -> None:
    arguments = parse_arguments(SpeedArguments, description=__doc__)
    report(benchmark(arguments), render, arguments.output)


if __name__ == "__main__":
    run(main)
