"""Engines over tiny models: of random weights, or of weights that say one thing whatever they are asked."""

import pytest


@pytest.fixture(scope="session")
def engine(model_folder):
    from chat.engine import ChatEngine

    return ChatEngine.from_pretrained(str(model_folder))


@pytest.fixture
def engine_that_says(model_folder):
    """A function: an engine whose model gives one token all the probability, at every step."""
    from chat.engine import ChatEngine

    def build(token_id: int) -> ChatEngine:
        import torch

        engine = ChatEngine.from_pretrained(str(model_folder))
        transformer = engine.model.transformer
        with torch.no_grad():
            transformer.ln_f.weight.zero_()
            transformer.ln_f.bias.fill_(1.0)
            transformer.wte.weight.zero_()
            transformer.wte.weight[token_id] = 10.0
        return engine

    return build
