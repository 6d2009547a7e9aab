"""Throughput of training by how batches are made: the reference recipe, length-grouped, packed.

    python -m benchmarks.train_throughput --data tokenized_combined_dialog_data \\
        --base training/configs/models/gpt2-7m.json --output benchmarks/results/train_throughput.json

All variants start from the same weights and see the same number of useful (non-pad) tokens, in turns of a few
seconds, so that the noise of the machine meets all of them. Prints a table and, last, one line of JSON.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmarks.reports import describe_cpu, report
from chat.cli import UserError, check_numbers, parse_arguments, run
from chat.devices import computes_in_bfloat16, fastest_device
from chat.hub.data import load_tokenized
from chat.sequences import IGNORED_LABEL
from training.collator import PackedCollator, PaddedCollator
from training.model import build_model
from training.packing import PackedRows

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from training.sampler import EpochSampler

# Of each, its tensors by name and how many tokens of it are no padding.
Batches = Iterator[tuple[dict[str, "torch.Tensor"], int]]
REFERENCE_BATCH_SIZE = 8
REFERENCE_LENGTH = 256
VALIDATION_SEQUENCES = 300
# Dense bf16 peak of tensor cores, in FLOP/s, from NVIDIA's data sheets.
PEAK_FLOPS = {
    "H100": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
}


@dataclass(frozen=True)
class ThroughputArguments:
    data: str = field(
        default="tokenized_combined_dialog_data", metadata={"help": "Tokenised dataset, folder or Hub id."}
    )
    base: str = field(
        default="openai-community/gpt2", metadata={"help": "Hub id or path of the model, or a config .json."}
    )
    output: str | None = field(default=None, metadata={"help": "File for the JSON."})
    useful_tokens: int = field(
        default=100_000, metadata={"help": "Useful tokens that each variant trains on."}
    )
    turns: int = field(default=10, metadata={"help": "Turns in which the variants take them."})
    learning_rate: float = field(default=5e-4, metadata={"help": "Constant learning rate of AdamW."})
    fast_precision: Literal["no", "bf16"] = field(
        default="bf16", metadata={"help": "Arithmetic of the last variant."}
    )
    packed_rows: int = field(
        default=0,
        metadata={"help": "Rows in a packed batch (0: as many useful tokens as the reference batch)."},
    )
    seed: int = field(default=0, metadata={"help": "Seed of weights and order."})

    def __post_init__(self):
        check_numbers(self, at_least_one=("useful_tokens", "turns"))


class Variant:
    """A model in training on batches of its own kind, and what it has done so far."""

    def __init__(
        self, name: str, batches: Batches, model: PreTrainedModel, learning_rate: float, precision: str
    ):
        import torch

        self.name, self.batches, self.model, self.precision = name, batches, model.train(), precision
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, fused=True)
        self.seconds, self.useful, self.replies, self.computed, self.steps = 0.0, 0, 0, 0, 0

    def step(self) -> None:
        """One optimizer step: forward, backward, clipping, update."""
        import torch

        batch, useful = next(self.batches)
        device = self.model.device
        start = time.perf_counter()
        batch = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
        replies = (batch["labels"] != IGNORED_LABEL).sum()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            loss = self.model(**batch, num_items_in_batch=replies).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - start
        self.useful += useful
        self.replies += int(replies)
        self.computed += batch["input_ids"].numel()
        self.steps += 1

    def figures(self, validation_loss: float) -> dict:
        return {
            "useful_tokens_per_second": self.useful / self.seconds,
            "reply_tokens_per_second": self.replies / self.seconds,
            "padding_share": 1 - self.useful / self.computed,
            "useful_tokens_per_step": self.useful / self.steps,
            "steps": self.steps,
            "seconds": self.seconds,
            "precision": self.precision,
            "validation_loss": validation_loss,
        }


def benchmark(arguments: ThroughputArguments) -> dict:
    """Measures all variants; see the module's text.

    Raises:
        UserError: the data or the model cannot be loaded, or the device only imitates --fast-precision.
    """
    from transformers import set_seed

    device = fastest_device()
    if arguments.fast_precision == "bf16" and not computes_in_bfloat16(device):
        raise UserError("--fast-precision bf16: this machine has no instructions for it; give no")
    dataset, tokenizer = load_tokenized(arguments.data)
    variants = []
    for name, precision, batches in _variants(arguments, dataset["train"], tokenizer):
        set_seed(arguments.seed)
        model = build_model(arguments.base, tokenizer, REFERENCE_LENGTH).to(device)
        model.config.use_cache = False
        variants.append(Variant(name, batches, model, arguments.learning_rate, precision))
    for variant in variants:
        variant.step()
        variant.seconds, variant.useful, variant.replies, variant.computed, variant.steps = 0.0, 0, 0, 0, 0
    for turn in range(1, arguments.turns + 1):
        for variant in variants:
            while variant.useful < arguments.useful_tokens * turn / arguments.turns:
                variant.step()
    validation = dataset["val"].shuffle(seed=arguments.seed)
    validation = validation.select(range(min(VALIDATION_SEQUENCES, len(validation)))).to_list()
    speed = {each.name: each.useful / each.seconds for each in variants}
    return {
        "variants": {each.name: each.figures(_validation_loss(each.model, validation)) for each in variants},
        "packed_to_reference": speed["packed"] / speed["reference"],
        "packed_fast_to_reference": speed["packed, fast"] / speed["reference"],
        **_machine(variants),
    }


def _variants(
    arguments: ThroughputArguments, dataset: Dataset, tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[str, str, Batches]]:
    """Name, precision and endless batches of each variant."""
    from training.sampler import EpochSampler

    lengths = np.asarray(dataset.with_format("numpy")["length"][:])
    rows = PackedRows(dataset, lengths, REFERENCE_LENGTH, arguments.seed)
    useful_in_reference = REFERENCE_BATCH_SIZE * lengths.mean()
    packed_batch = arguments.packed_rows or max(1, round(useful_in_reference / REFERENCE_LENGTH))
    pad, size, seed = tokenizer.pad_token_id, REFERENCE_BATCH_SIZE, arguments.seed
    sequences = dataset.select_columns(["input_ids", "labels"])
    anyhow = EpochSampler(len(dataset), seed)
    grouped = EpochSampler(len(dataset), seed, lengths.tolist(), size)
    packed = EpochSampler(len(rows), seed)
    padded = PaddedCollator(pad, pad_to_length=REFERENCE_LENGTH)
    yield "reference", "no", _batches(sequences, anyhow, size, padded)
    yield "grouped", "no", _batches(sequences, grouped, size, PaddedCollator(pad, True))
    for name, precision in (("packed", "no"), ("packed, fast", arguments.fast_precision)):
        collator = PackedCollator(tokenizer.eos_token_id, REFERENCE_LENGTH, True)
        yield name, precision, _batches(rows, packed, packed_batch, collator)


def _batches(
    dataset: Dataset | PackedRows, sampler: EpochSampler, batch_size: int, collate: Callable[[list], dict]
) -> Batches:
    """Batches with their useful tokens, epoch after epoch. A generator of its own for each variant."""
    for epoch in count():
        sampler.set_epoch(epoch)
        order = list(sampler)
        for start in range(0, len(order) - batch_size + 1, batch_size):
            examples = dataset.__getitems__(order[start : start + batch_size])
            flat = [each for item in examples for each in (item if isinstance(item, list) else [item])]
            yield collate(examples), sum(len(each["input_ids"]) for each in flat)


def _validation_loss(model: torch.nn.Module, sequences: list[dict]) -> float:
    """Nats per labelled token, in float32."""
    import torch

    from training.trainer import row_losses

    collate = PaddedCollator(0)
    nats = tokens = 0.0
    with torch.inference_mode():
        for start in range(0, len(sequences), 16):
            batch = collate(sequences[start : start + 16])
            row_nats, row_tokens = row_losses(
                model.eval(), {name: tensor.to(model.device) for name, tensor in batch.items()}
            )
            nats += float(row_nats.sum())
            tokens += int(row_tokens.sum())
    return nats / tokens


def training_flops(config: PretrainedConfig, length: int, tokens: float, predictions: float) -> float:
    """6 per token and weight that multiplies it, 12 x layers x width x length per token for attention.

    Source: Chowdhery et al., 2022 (PaLM), appendix B. The position embedding multiplies nothing, and the
    output layer only what a reply's token is predicted from (`reply_logits_only`).
    """
    width, layers = config.hidden_size, config.num_hidden_layers
    of_token = 6 * layers * 12 * width**2 + 12 * layers * width * length
    return tokens * of_token + predictions * 6 * config.vocab_size * width


def _machine(variants: list[Variant]) -> dict:
    """Where it ran, and on a known GPU the model FLOPs utilisation of the last variant.

    MFU = training FLOPs per second / the device's peak.
    """
    import torch

    machine: dict = {"torch": version("torch"), "transformers": version("transformers")}
    last = variants[-1]
    parameters = last.model.num_parameters()
    if last.model.device.type != "cuda":
        threads = f"CPU, {torch.get_num_threads()} threads"
        return machine | {"device": threads, "cpu": describe_cpu(), "parameters": parameters}
    name = torch.cuda.get_device_name()
    kinds = (kind for kind in PEAK_FLOPS if re.search(rf"\b{kind}\b", name))
    peak = PEAK_FLOPS.get(max(kinds, key=len, default=""))
    flops = training_flops(last.model.config, REFERENCE_LENGTH, last.computed, last.replies)
    achieved = flops / last.seconds
    return machine | {
        "device": name,
        "parameters": parameters,
        "model_flops_per_second": achieved,
        "model_flops_utilisation": achieved / peak if peak else None,
    }


def render(results: dict) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| variant | precision | useful tokens/s | reply tokens/s | padding | ratio | validation loss |",
        "|---|---|---|---|---|---|---|",
    ]
    reference = results["variants"]["reference"]["useful_tokens_per_second"]
    for name, figures in results["variants"].items():
        precision = {"no": "float32"}.get(figures["precision"], figures["precision"])
        lines.append(
            f"| {name} | {precision} | {figures['useful_tokens_per_second']:,.0f} "
            f"| {figures['reply_tokens_per_second']:,.0f} | {figures['padding_share']:.1%} "
            f"| {figures['useful_tokens_per_second'] / reference:.2f}x | {figures['validation_loss']:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    arguments = parse_arguments(ThroughputArguments, description=__doc__)
    report(benchmark(arguments), render, arguments.output)


if __name__ == "__main__":
    run(main)
