"""The weights of a trained model, as `AutoModelForCausalLM.from_pretrained` loads them."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from chat.hub.loading import positions_of, without_bars

if TYPE_CHECKING:
    from transformers import Trainer
    from transformers.trainer_callback import TrainerState

# What `torch.compile` puts before the names of the weights.
COMPILED_PREFIX = "_orig_mod."


def save_weights(
    trainer: Trainer, state_dict: dict[str, torch.Tensor], folder: Path, dtype_name: str, shard_mb: int
) -> None:
    """Weights (safetensors), configuration, generation defaults, and tokenizer with template.

    Args:
        state_dict: of all processes, as `accelerator.get_state_dict` gathers it.
        dtype_name: torch's name of the number format of the files.
        shard_mb: largest file of weights, in MB.
    """
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_torch_compile=False)
    model.config.use_cache = True
    dtype = getattr(torch, dtype_name)
    # Of tied weights one is written; gathered from several processes they are two tensors.
    state_dict = {
        of: weights.to(dtype)
        for name, weights in state_dict.items()
        if (of := name.removeprefix(COMPILED_PREFIX)) not in model.all_tied_weights_keys
    }
    with without_bars():
        model.save_pretrained(folder, state_dict=state_dict, max_shard_size=f"{shard_mb}MB")
    # `save_pretrained` noted the dtype of the model in memory, which is not that of the files.
    model.config.dtype = dtype
    model.config.save_pretrained(folder)
    # Whoever asks it to truncate gets what the model has positions for.
    trainer.processing_class.model_max_length = positions_of(model.config, str(folder))
    trainer.processing_class.save_pretrained(folder)
    # safetensors lets nobody but their owner read them, as a container with another user would.
    for path in folder.glob("*.safetensors"):
        shutil.copymode(folder / "config.json", path)


def save_state(state: TrainerState, file: Path) -> None:
    """What the run logged, and how far it came; the same bytes again from one that is resumed at its end."""
    # A model may be published, a disk not.
    best = state.best_model_checkpoint
    dataclasses.replace(
        state,
        best_model_checkpoint=best and Path(best).name,
        # Of this process alone, which may have taken no step.
        log_history=[entry for entry in state.log_history if "train_runtime" not in entry],
        # Only a run that goes on needs them.
        stateful_callbacks={},
    ).save_to_json(str(file))
