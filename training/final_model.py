"""The weights of a trained model, as `AutoModelForCausalLM.from_pretrained` loads them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from chat.hub.loading import positions_of, without_bars

if TYPE_CHECKING:
    from transformers import Trainer

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
