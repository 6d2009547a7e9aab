"""Fixtures: a trained model's folder."""

import json
import shutil

import pytest

from training.arguments import TrainArguments
from training.resuming import save

TRAINER_STATE = {
    "global_step": 3827,
    "log_history": [
        {"step": 1000, "eval_loss": 4.827},
        {"step": 3000, "eval_loss": 4.329},
        {"step": 3827, "eval_loss": float("nan")},
        {"step": 3827, "loss": 4.1},
    ],
}


@pytest.fixture(scope="session")
def endless_tokenizer(base_tokenizer_folder):
    """Without an end of text, as some bases have it, and without padding."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_tokenizer_folder)
    tokenizer.bos_token = tokenizer.eos_token = tokenizer.pad_token = None
    return tokenizer


@pytest.fixture(scope="module")
def model(model_folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_folder).eval()


@pytest.fixture(scope="session")
def trained_folder(model_folder, tmp_path_factory):
    """A model as training leaves it, with the Trainer's state."""
    path = tmp_path_factory.mktemp("trained") / "final_model"
    shutil.copytree(model_folder, path)
    save(TrainArguments(learning_rate=3e-5, num_train_epochs=2.0, warmup_steps=77), path)
    (path / "trainer_state.json").write_text(json.dumps(TRAINER_STATE))
    return path
