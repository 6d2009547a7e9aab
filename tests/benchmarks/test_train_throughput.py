"""The throughput benchmark on the sample corpora, its formula, and the memory table's arithmetic."""

import json
from types import SimpleNamespace

import pytest
import torch
from transformers import GPT2Config

from benchmarks import train_throughput
from benchmarks.train_throughput import ThroughputArguments, benchmark, render, training_flops
from benchmarks.training_memory import (
    ACTIVATION_BYTES_PER_LAYER,
    CHECKPOINTED_BYTES_PER_LAYER,
    config_of,
    needs,
    parameters_of,
)
from chat.cli import UserError
from chat.devices import computes_in_bfloat16
from chat.hub.loading import load_causal_lm
from tests.processes import python
from tests.tiny_models import saved_gpt2


@pytest.fixture(scope="module")
def results(prepared, tiny_config_file):
    short = {"data": str(prepared), "base": str(tiny_config_file), "useful_tokens": 6000, "turns": 2}
    precision = "bf16" if computes_in_bfloat16(torch.device("cpu")) else "no"
    return benchmark(ThroughputArguments(**short, fast_precision=precision))


def test_what_the_machine_would_only_imitate_is_not_measured(prepared, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    with pytest.raises(UserError, match="--fast-precision bf16: this machine has no instructions for it"):
        benchmark(ThroughputArguments(data=str(prepared)))


@pytest.mark.slow
def test_every_variant_trains_on_the_tokens_asked_for(results):
    assert list(results["variants"]) == ["reference", "grouped", "packed", "packed, fast"]
    for figures in results["variants"].values():
        useful = figures["useful_tokens_per_second"] * figures["seconds"]
        assert 6000 <= useful < 6000 + 2 * figures["useful_tokens_per_step"] + 2048
        assert 0 < figures["reply_tokens_per_second"] < figures["useful_tokens_per_second"]
        assert 4 < figures["validation_loss"] < 7


def test_grouped_and_packed_batches_have_less_padding_than_the_reference(results):
    shares = {name: figures["padding_share"] for name, figures in results["variants"].items()}
    assert shares["grouped"] < shares["packed"] < shares["reference"]


def test_the_table_has_a_row_for_each(results):
    assert len(render(results).splitlines()) == 6 and "| packed | float32 |" in render(results)


def test_flops_by_hand():
    """GPT-2: 12 layers x 12 x 768^2 weights and PaLM's term for attention of all 10 tokens; the head of
    50,257 x 768 of the 4 that a reply's token is predicted from.
    """
    layers, attention = 12 * 12 * 768**2, 12 * 12 * 768 * 1024
    expected = 10 * (6 * layers + attention) + 4 * 6 * 50257 * 768
    assert training_flops(GPT2Config(), 1024, tokens=10, predictions=4) == expected


def test_a_gpus_utilisation_is_of_what_was_computed(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100 80GB HBM3")
    model = SimpleNamespace(config=GPT2Config(), device=torch.device("cuda"), num_parameters=lambda: 0)
    last = SimpleNamespace(model=model, computed=5000, replies=2000, seconds=2.0)
    flops = training_flops(model.config, 256, tokens=5000, predictions=2000)
    found = train_throughput._machine([last])
    assert found["model_flops_per_second"] == flops / 2
    assert found["model_flops_utilisation"] == flops / 2 / 989e12


def test_memory_by_hand():
    parameters = parameters_of(config_of(12, 768, 12))
    assert parameters == 124_439_808 + 4 * 768
    figures = needs(12, 768, 12, tokens=1000, gpus=4)
    assert figures["ddp_gb"] == pytest.approx(parameters * 18 / 1e9)
    assert figures["zero2_gb"] == pytest.approx(parameters * (6 + 12 / 4) / 1e9)
    assert figures["zero3_fsdp_gb"] == pytest.approx(parameters * 18 / 4 / 1e9)
    logits = 500 * 50_261 * 10
    assert figures["activations_gb"] == pytest.approx((12 * 40 * 1000 * 768 + logits) / 1e9)
    assert figures["activations_checkpointed_gb"] == pytest.approx(
        (12 * 4 * 1000 * 768 + 40 * 1000 * 768 + logits) / 1e9
    )
    weights = 12 * 12 * 768**2 + 50_261 * 768 / 2
    assert figures["petaflop_per_million_tokens"] == pytest.approx((6 * weights + 12 * 12 * 768 * 1024) / 1e9)


@pytest.mark.parametrize(
    ("checkpointing", "expected"), [(False, ACTIVATION_BYTES_PER_LAYER), (True, CHECKPOINTED_BYTES_PER_LAYER)]
)
def test_of_activations_autograd_keeps_what_is_computed(tokenizer, tmp_path, checkpointing, expected):
    width = 192

    def bytes_kept(layers: int, tokens: int) -> int:
        sizes = {"n_layer": layers, "n_embd": width, "n_head": 3, "attn_pdrop": 0.0}
        model = load_causal_lm(str(saved_gpt2(tokenizer, tmp_path / "model", **sizes))).train()
        if checkpointing:
            model.activation_checkpointing_enable()
        kept = {}

        def keep(tensor):
            # Held, so that no other takes its place in memory.
            kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        ids = torch.arange(tokens)[None]
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16),
        ):
            model(input_ids=ids, use_cache=False)
        return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())

    # Of weights it keeps the same, whatever the tokens.
    of_a_layer = {tokens: bytes_kept(2, tokens) - bytes_kept(1, tokens) for tokens in (16, 48)}
    assert (of_a_layer[48] - of_a_layer[16]) / 32 / width == pytest.approx(expected, abs=0.2)


@pytest.mark.slow
def test_the_commands_end_with_a_line_of_json(tmp_path):
    done = python("-m", "benchmarks.training_memory", "--output", tmp_path / "deep" / "x.json")
    assert json.loads(done.stdout.splitlines()[-1]) == json.loads((tmp_path / "deep" / "x.json").read_text())
