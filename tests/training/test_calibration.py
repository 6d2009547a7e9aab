"""Temperature scaling: found by likelihood, and exact in the weights."""

import pytest
import torch

from chat.cli import UserError
from chat.hub.loading import load_causal_lm
from training.calibration import best_temperature, divide_logits


@pytest.fixture
def model(model_folder):
    """One whose predictions are sharp, which random weights' are not."""
    model = load_causal_lm(str(model_folder))
    divide_logits(model, 0.02)
    return model


def drawn_from(model, rows=64, length=64):
    """Labels that the model itself draws, so that it is as sure of them as it is right."""
    torch.manual_seed(0)
    input_ids = torch.randint(0, model.config.vocab_size, (rows, length))
    with torch.no_grad():
        probabilities = model(input_ids).logits.softmax(-1)
    labels = torch.full_like(input_ids, -100)
    labels[:, 1:] = torch.stack([torch.multinomial(row, 1)[:, 0] for row in probabilities[:, :-1]])
    return {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids), "labels": labels}


def test_logits_are_divided(model):
    ids = torch.arange(10)[None]
    with torch.no_grad():
        before = model(ids).logits
        divide_logits(model, 1.7)
        after = model(ids).logits

    assert torch.allclose(after, before / 1.7, atol=1e-4)


def test_a_model_that_is_too_sure_is_found_out_and_mended(model):
    batch = drawn_from(model)
    assert best_temperature(model, [batch]) == pytest.approx(1.0, abs=0.05)

    divide_logits(model, 1 / 1.5)
    found = best_temperature(model, [batch])

    assert found == pytest.approx(1.5, abs=0.06)
    divide_logits(model, found)
    assert best_temperature(model, [batch]) == pytest.approx(1.0, abs=0.02)


def test_another_architecture_is_refused():
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": 10, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    config = LlamaConfig(**sizes, num_attention_heads=1, num_key_value_heads=1)
    with pytest.raises(UserError, match="--calibrate true: not supported for llama"):
        divide_logits(LlamaForCausalLM(config), 2.0)
