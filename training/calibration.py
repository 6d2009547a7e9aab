"""Temperature scaling: the weights of a model that is as sure of itself as it is right.

Preference tuning makes a model surer than people's replies bear out. Source: Guo et al., 2017, "On
Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy

from chat.cli import UserError
from training.trainer import labelled_logits

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TEMPERATURES = [step / 100 for step in range(80, 201)]
COARSE_STEP = 10


def best_temperature(model: PreTrainedModel, batches: Sequence[dict[str, torch.Tensor]]) -> float:
    """Which of `TEMPERATURES` makes the labelled tokens likeliest.

    The loss is convex in the inverse temperature. So the best lies between the neighbours of the best of a
    few, and a quarter of the passes over a large vocabulary is enough.

    Args:
        batches: of `PaddedCollator`.
    """
    place = TEMPERATURES.index(_likeliest(model, batches, TEMPERATURES[::COARSE_STEP]))
    return _likeliest(model, batches, TEMPERATURES[max(0, place - COARSE_STEP) : place + COARSE_STEP + 1])


def _likeliest(
    model: PreTrainedModel, batches: Sequence[dict[str, torch.Tensor]], temperatures: list[float]
) -> float:
    nats = torch.zeros(len(temperatures))
    for batch in batches:
        on_device = {name: each.to(model.device) for name, each in batch.items()}
        with torch.inference_mode():
            logits, tokens, _ = labelled_logits(model, on_device)
        losses = (cross_entropy(logits / each, tokens, reduction="sum") for each in temperatures)
        nats += torch.stack([*losses]).cpu()
    return temperatures[int(nats.argmin())]


def last_norm(model: PreTrainedModel) -> torch.nn.LayerNorm:
    """GPT-2's last normalisation, before the projection onto the vocabulary.

    Raises:
        UserError: an architecture whose last layers are not a normalisation and a projection without bias.
    """
    norm = getattr(model.base_model, "ln_f", None)
    if not isinstance(norm, torch.nn.LayerNorm) or model.get_output_embeddings().bias is not None:
        raise UserError(
            f"--calibrate true: not supported for {model.config.model_type}; leave it out, or tune a GPT-2"
        )
    return norm


def divide_logits(model: PreTrainedModel, temperature: float) -> None:
    """Changes the weights of the last normalisation so that all logits are divided by the temperature."""
    norm = last_norm(model)
    with torch.no_grad():
        norm.weight /= temperature
        norm.bias /= temperature
