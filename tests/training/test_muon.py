"""Muon: which parameters it gets, what it does to them, and that a run with it resumes exactly."""

import shutil

import pytest
import torch
from transformers import Trainer

from chat.cli import UserError
from tests.tiny_models import tiny_model
from training import muon
from training.checkpoints import checkpoints
from training.muon import Float32Muon, MuonWithAdamW, hidden_matrices
from training.train import build_trainer, train


@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_and_the_output_layer_are_no_hidden_matrices(tied):
    names = set(hidden_matrices(tiny_model("gpt2", 64, tie_word_embeddings=tied)))
    inside = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    assert names == {f"transformer.h.{layer}.{name}.weight" for layer in range(2) for name in inside}


def test_frozen_matrices_stay_out():
    model = tiny_model("gpt2", 64)
    model.transformer.h[0].requires_grad_(False)
    assert all(name.startswith("transformer.h.1.") for name in hidden_matrices(model))


def test_every_parameter_is_trained_once_and_decays_as_with_adamw(short_run):
    def decays(optimizer: str) -> dict[int, float]:
        trainer = build_trainer(short_run(optimizer=optimizer, weight_decay=0.1))
        groups = trainer.create_optimizer().param_groups
        names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
        pairs = [(names[id(p)], group["weight_decay"]) for group in groups for p in group["params"]]
        assert len(pairs) == len(names)
        return dict(pairs)

    assert decays("muon") == decays("adamw")


@pytest.fixture(params=[True, False], ids=["bfloat16", "float32"])
def has_bfloat16(request, monkeypatch):
    monkeypatch.setattr(muon, "computes_in_bfloat16", lambda device: request.param)
    return request.param


def test_the_update_of_a_matrix_is_orthogonal_and_of_adamws_size(has_bfloat16):
    """Newton-Schulz as Muon does it leaves singular values of about 0.7 to 1.2."""
    model = tiny_model("gpt2", 64)
    before = {name: weight.detach().clone() for name, weight in hidden_matrices(model).items()}
    optimizer = MuonWithAdamW(model, lr=0.01, weight_decay=0.0, decayed=())
    assert isinstance(optimizer.muon, Float32Muon) != has_bfloat16
    ids = torch.randint(64, (4, 16))
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    for name, weight in hidden_matrices(model).items():
        scale = 0.01 * 0.2 * max(weight.shape) ** 0.5
        values = torch.linalg.svdvals(weight.detach() - before[name]) / scale
        assert values[: len(values) // 2].min() > 0.5 and values.max() < 1.4, name


def test_without_bfloat16_it_does_as_torchs_muon_but_for_rounding():
    """The tall and the wide matrix, decay and momentum, and the state, which the other one can take over."""
    torch.manual_seed(0)
    start = [torch.randn(8, 24), torch.randn(24, 8)]
    ours, theirs = ([torch.nn.Parameter(weight.clone()) for weight in start] for _ in range(2))
    settings = {"lr": 0.02, "weight_decay": 0.5, "adjust_lr_fn": "match_rms_adamw"}
    optimizers = [Float32Muon(ours, **settings), torch.optim.Muon(theirs, **settings)]
    for _ in range(3):
        for our, their in zip(ours, theirs, strict=True):
            our.grad = torch.randn_like(our)
            their.grad = our.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for our, their, first in zip(ours, theirs, start, strict=True):
        moved = (their - first).norm()
        assert (our - their).norm() < 0.02 * moved
        averages = optimizers[0].state[our], optimizers[1].state[their]
        assert torch.equal(*(average["momentum_buffer"] for average in averages))


def test_a_weight_without_a_gradient_stays():
    weight = torch.nn.Parameter(torch.ones(2, 3))
    Float32Muon([weight], weight_decay=0.5).step()
    assert torch.equal(weight, torch.ones(2, 3))


def test_a_resumed_run_ends_with_the_same_weights(short_run, tmp_path):
    arguments = {"optimizer": "muon", "save_every_steps": 2, "max_steps": 6, "warmup_steps": 2}
    train(short_run(**arguments))
    unbroken = (tmp_path / "final" / "model.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "final")
    for checkpoint in checkpoints(tmp_path / "run"):
        if checkpoint.name != "checkpoint-2":
            shutil.rmtree(checkpoint)
    train(short_run(**arguments, resume=True))
    assert (tmp_path / "final" / "model.safetensors").read_bytes() == unbroken


@pytest.mark.parametrize("enabled", ["is_fsdp_enabled", "is_deepspeed_enabled"])
def test_divided_matrices_are_refused(short_run, monkeypatch, enabled):
    """Said to be on; `test_divided_weights.py` has them on in earnest, with AdamW."""
    create = Trainer.create_accelerator_and_postprocess

    def create_divided(self):
        create(self)
        setattr(self, enabled, True)

    monkeypatch.setattr(Trainer, "create_accelerator_and_postprocess", create_divided)
    with pytest.raises(UserError, match="--optimizer muon: needs whole matrices in each process"):
        build_trainer(short_run(optimizer="muon"))
