"""Engines over tiny models: of random weights, or of weights that say one thing whatever they are asked."""

import threading
import time

import pytest


@pytest.fixture(scope="session")
def engine(model_folder):
    import torch

    from chat.engine import load_engine

    return load_engine(str(model_folder), engine="torch", dtype=torch.float32)


@pytest.fixture(scope="session")
def openvino_engine(model_folder):
    """As exact as OpenVINO can be: neither the weights nor what is computed are rounded."""
    from chat.engine import load_engine

    exact = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
    engine = load_engine(str(model_folder), engine="openvino", weights="fp32", **exact)
    yield engine
    engine.close()


@pytest.fixture(params=["torch", "openvino"])
def any_engine(request):
    return request.getfixturevalue({"torch": "engine", "openvino": "openvino_engine"}[request.param])


def serving_threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name in ("chat-generate", "chat-serve")}


def left_serving(before: set[threading.Thread]) -> set[threading.Thread]:
    """Threads that serve, but for these, and still do a while after what was asked."""
    for each in serving_threads() - before:
        each.join(timeout=4)
    return serving_threads() - before


class Wrapped:
    """A pipeline, or a handle of it, but for what a subclass changes."""

    def __init__(self, pipeline):
        self._pipeline = pipeline

    def __getattr__(self, name):
        return getattr(self._pipeline, name)


class Pace:
    """Takes its time for each step, so that a reply is still being drawn when something else happens."""

    def __init__(self):
        self.steps = 0

    def __call__(self, *_):
        self.steps += 1
        time.sleep(0.05)


class Slow(Wrapped):
    """A pipeline that takes its time."""

    def __init__(self, pipeline):
        super().__init__(pipeline)
        self.pace = Pace()

    def step(self):
        self.pace()
        self._pipeline.step()


@pytest.fixture
def pace(any_engine, monkeypatch):
    """Of the engine, which draws twenty tokens a second."""
    if server := getattr(any_engine, "_server", None):
        slow = Slow(server._pipeline)
        monkeypatch.setattr(server, "_pipeline", slow)
        yield slow.pace
    else:
        pace = Pace()
        pauses = any_engine.model.register_forward_pre_hook(pace)
        yield pace
        pauses.remove()


@pytest.fixture
def engine_that_says(model_folder):
    """A function: an engine whose model gives one token all the probability, at every step."""
    from chat.engine import load_engine
    from chat.torch_engine import TorchEngine

    def build(token_id: int) -> TorchEngine:
        engine = load_engine(str(model_folder), engine="torch")
        say_always(engine.model, token_id)
        return engine

    return build


def say_always(model, token_id: int) -> None:
    import torch

    transformer = model.transformer
    with torch.no_grad():
        transformer.ln_f.weight.zero_()
        transformer.ln_f.bias.fill_(1.0)
        transformer.wte.weight.zero_()
        transformer.wte.weight[token_id] = 10.0


def log_probs(model, context: list[int], ids: list[int]) -> list[float]:
    """Of each of the ids after the context, in nats; by one forward pass without batch, padding or cache."""
    import torch

    with torch.inference_mode():
        logits = model(torch.tensor([[*context, *ids]])).logits[0, len(context) - 1 : -1]
    return logits.log_softmax(-1).gather(-1, torch.tensor(ids)[:, None])[:, 0].tolist()
