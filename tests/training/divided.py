"""Weights that are divided over processes, without the processes."""

import sys
from contextlib import contextmanager
from types import SimpleNamespace

import torch


def as_zero3_leaves_them(model, monkeypatch) -> None:
    """Takes a model's weights away but for their `ds_shape`, until `deepspeed` is asked to gather them."""
    whole = {id(weights): weights.data for weights in model.parameters()}
    for weights in model.parameters():
        weights.ds_shape = weights.shape
        weights.data = torch.empty(0)

    @contextmanager
    def gathered(divided):
        for weights in divided:
            weights.data = whole[id(weights)]
        yield
        for weights in divided:
            weights.data = torch.empty(0)

    zero = SimpleNamespace(GatheredParameters=gathered)
    monkeypatch.setitem(sys.modules, "deepspeed", SimpleNamespace(zero=zero))
    monkeypatch.setattr("transformers.integrations.is_deepspeed_zero3_enabled", lambda: True)
