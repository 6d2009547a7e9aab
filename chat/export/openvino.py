"""A GPT-2 as an OpenVINO model that OpenVINO GenAI serves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chat.compiled_models import in_a_passing_thread
from chat.export.cache import MODEL_FILE
from chat.template import control_token_ids

if TYPE_CHECKING:
    import numpy as np
    import openvino
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from chat.export.graph import Shape


def export_openvino(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, weights: str
) -> None:
    """Writes the model, and the tokenizer that OpenVINO GenAI wants beside it, into `folder`.

    OpenVINO GenAI has no setting for tokens that may not be drawn, so that role tokens are suppressed by the
    graph itself.

    Args:
        model: in float32, on the CPU.
        weights: int8, int4 or fp32; activations and cache are the runtime's choice.
    """
    import openvino
    from openvino_tokenizers import convert_tokenizer

    graph = _compressed(_stateful_graph(model, control_token_ids(tokenizer)), weights)
    openvino.save_model(graph, folder / MODEL_FILE, compress_to_fp16=False)
    parts = convert_tokenizer(tokenizer, with_detokenizer=True)
    for name, part in zip(("tokenizer", "detokenizer"), parts, strict=True):
        openvino.save_model(part, folder / f"openvino_{name}.xml")


def _stateful_graph(model: PreTrainedModel, suppressed: list[int]) -> openvino.Model:
    """The graph with its cache as hidden state, in the form that the paged attention of GenAI recognises."""
    import openvino
    import torch
    from openvino._offline_transformations import apply_make_stateful_transformation

    from chat.export.graph import GraphOfGPT2, Shape

    shape = Shape.of(model.config)
    example = shape.example(torch.tensor([0, 1]))
    with torch.inference_mode():
        graph = openvino.convert_model(GraphOfGPT2(model, suppressed, reorders=True), example_input=example)
    past, present = shape.names("past_key_values"), shape.names("present")
    inputs = ["input_ids", "attention_mask", "position_ids", "beam_idx", *past]
    _name(graph.inputs, inputs)
    _name(graph.outputs, ["logits", *present])
    cache = [-1, shape.heads, -1, shape.head_width]
    sizes = [[-1, -1]] * 3 + [[-1]] + [cache] * len(past)
    graph.reshape({port: openvino.PartialShape(size) for port, size in zip(graph.inputs, sizes, strict=True)})
    apply_make_stateful_transformation(graph, dict(zip(past, present, strict=True)))
    _start_empty(graph, shape)
    return graph


def _name(ports: Sequence[openvino.Input | openvino.Output], names: list[str]) -> None:
    for port, name in zip(ports, names, strict=True):
        port.get_tensor().set_names({name})


def _start_empty(graph: openvino.Model, shape: Shape) -> None:
    """Gives each state its first value, no tokens, without which the CPU plugin refuses the graph."""
    import numpy as np
    from openvino import opset13

    def constant(values: int | list[int], dtype: type = np.int64) -> openvino.Node:
        return opset13.constant(np.array(values, dtype=dtype))

    batch = opset13.gather(opset13.shape_of(graph.input("input_ids")), constant([0]), constant(0))
    size = opset13.concat([batch, constant([shape.heads, 0, shape.head_width])], 0)
    empty = opset13.broadcast(constant(0, np.float32), size)
    for node in graph.get_ops():
        if node.get_type_name() == "ReadValue":
            node.set_arguments([empty.output(0)])
    graph.validate_nodes_and_infer_types()


def _compressed(graph: openvino.Model, weights: str) -> openvino.Model:
    if weights == "fp32":
        return graph
    import nncf

    modes = {"int8": nncf.CompressWeightsMode.INT8_ASYM, "int4": nncf.CompressWeightsMode.INT4_ASYM}
    # The groups of 128 weights that share a scale in int4 become smaller where a layer is narrow.
    fallback = nncf.AdvancedCompressionParameters(group_size_fallback_mode=nncf.GroupSizeFallbackMode.ADJUST)
    return nncf.compress_weights(graph, mode=modes[weights], advanced_parameters=fallback)


class OpenVinoDecoder:
    """An exported model by itself, without continuous batching (see `chat.export.check.Decoder`)."""

    def __init__(self, path: Path):
        import openvino

        model = in_a_passing_thread(lambda: openvino.Core().compile_model(path, "CPU"))
        self.request = model.create_infer_request()
        self.start()

    def start(self) -> None:
        self.request.reset_state()
        self.length = 0

    def feed(self, ids: Sequence[int]) -> np.ndarray:
        import numpy as np

        before, self.length = self.length, self.length + len(ids)
        inputs = {
            "input_ids": np.array([ids]),
            "attention_mask": np.ones((1, self.length), dtype=np.int64),
            "position_ids": np.arange(before, self.length)[None],
            "beam_idx": np.zeros(1, dtype=np.int32),
        }
        return self.request.infer(inputs)["logits"][0].copy()
