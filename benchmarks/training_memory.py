"""The memory and computation that training GPT-2 takes, from its sizes: what fits which GPU, and how.

    python -m benchmarks.training_memory --output benchmarks/results/training_memory.json

No measurement: parameters are counted on a model without storage, the rest follows the formulas below. CUDA's
context and fragmentation come on top, about 1 to 2 GB.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.reports import report
from benchmarks.train_throughput import training_flops
from chat.cli import check_numbers, parse_arguments, run

if TYPE_CHECKING:
    from transformers import GPT2Config

SIZES = {
    "distilgpt2": (6, 768, 12),
    "gpt2": (12, 768, 12),
    "gpt2-medium": (24, 1024, 16),
    "gpt2-large": (36, 1280, 20),
    "gpt2-xl": (48, 1600, 25),
}
VOCABULARY = 50_257 + 4
BYTES_PER_PARAMETER = {"weights": 4, "bf16 copy": 2, "gradients": 4, "AdamW": 8}
# What autograd keeps of a token and a unit of width under autocast to bfloat16, as a test counts: a layer's
# input, and all inside it but the attention matrix, which SDPA never stores. (Korthikanti et al., 2022,
# equation 2, have 2 and 34, with a residual stream in 16 bits and masks of dropout in 8.)
CHECKPOINTED_BYTES_PER_LAYER = 4
ACTIVATION_BYTES_PER_LAYER = 40
# Of a reply's token: bf16 logits, their float32 copy and its gradient.
LOGIT_BYTES = 2 + 4 + 4
REPLY_SHARE = 0.5
# Of the recipes for GPUs; attention costs by it.
ROW_LENGTH = 1024


@dataclass(frozen=True)
class MemoryArguments:
    tokens: int = field(
        default=16_384, metadata={"help": "Tokens of a GPU's micro-batch: rows x row length."}
    )
    gpus: int = field(default=8, metadata={"help": "GPUs over which ZeRO and FSDP divide."})
    output: str | None = field(default=None, metadata={"help": "File for the JSON."})

    def __post_init__(self):
        check_numbers(self, at_least_one=("tokens", "gpus"))


def config_of(layers: int, width: int, heads: int) -> GPT2Config:
    from transformers import GPT2Config

    return GPT2Config(n_layer=layers, n_embd=width, n_head=heads, vocab_size=VOCABULARY)


def parameters_of(config: GPT2Config) -> int:
    """Counted on the model itself, without storage."""
    import torch
    from transformers import GPT2LMHeadModel

    with torch.device("meta"):
        return GPT2LMHeadModel(config).num_parameters()


def needs(layers: int, width: int, heads: int, tokens: int, gpus: int) -> dict:
    """GB (10^9 bytes) per GPU: the model's state by how it is divided, and a micro-batch's activations; and
    PFLOP (10^15) to compute a million tokens.
    """
    config = config_of(layers, width, heads)
    parameters = parameters_of(config)
    one = BYTES_PER_PARAMETER
    whole = sum(one.values())
    # ZeRO-2 divides gradients and optimizer; ZeRO-3 and FSDP divide the weights too.
    zero2 = one["weights"] + one["bf16 copy"] + (one["gradients"] + one["AdamW"]) / gpus
    logits = tokens * REPLY_SHARE * VOCABULARY * LOGIT_BYTES
    layer = ACTIVATION_BYTES_PER_LAYER * tokens * width
    checkpointed = CHECKPOINTED_BYTES_PER_LAYER * tokens * width
    return {
        "parameters": parameters,
        "ddp_gb": parameters * whole / 1e9,
        "zero2_gb": parameters * zero2 / 1e9,
        "zero3_fsdp_gb": parameters * whole / gpus / 1e9,
        "activations_gb": (layers * layer + logits) / 1e9,
        "activations_checkpointed_gb": (layers * checkpointed + layer + logits) / 1e9,
        "petaflop_per_million_tokens": training_flops(config, ROW_LENGTH, 10**6, 10**6 * REPLY_SHARE) / 1e15,
    }


def render(results: dict) -> str:
    """The figures as a Markdown table."""
    gpus, tokens = results["gpus"], results["tokens"]
    lines = [
        f"| model | parameters | one GPU or DDP | ZeRO-2, {gpus} GPUs | FSDP or ZeRO-3, {gpus} GPUs "
        f"| + activations of {tokens:,} tokens | with gradient checkpointing | computing a million tokens |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in results["models"].items():
        cells = " | ".join(f"{value:.1f} GB" for key, value in figures.items() if key.endswith("_gb"))
        computing = f"{figures['petaflop_per_million_tokens']:.1f} PFLOP"
        lines.append(f"| {name} | {figures['parameters'] / 1e6:,.0f}M | {cells} | {computing} |")
    return "\n".join(lines)


def main() -> None:
    arguments = parse_arguments(MemoryArguments, description=__doc__)
    models = {name: needs(*size, arguments.tokens, arguments.gpus) for name, size in SIZES.items()}
    results = {"tokens": arguments.tokens, "gpus": arguments.gpus, "models": models}
    report(results, render, arguments.output)


if __name__ == "__main__":
    run(main)
