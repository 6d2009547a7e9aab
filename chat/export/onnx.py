"""A GPT-2 in ONNX, in the files and tensor names that ONNX Runtime's and transformers.js's users expect."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from chat.cli import UserError
from chat.export.graph import GraphOfGPT2, Shape

if TYPE_CHECKING:
    from onnx import GraphProto
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

FILES = {"fp32": "model.onnx", "int8": "model_quantized.onnx", "int4": "model_q4.onnx"}
OPSET = 18
INT4_BLOCK = 32


def check_onnx_is_installed() -> None:
    """Raises UserError where it is not: chatting needs none of it."""
    if missing := [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]:
        raise UserError(
            f"--to onnx: {' and '.join(missing)} not installed; install with "
            "`pip install -r requirements-train.txt`"
        )


def export_onnx(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, weights: str
) -> None:
    """Writes `onnx/` with one model, and the tokenizer beside it, into `folder`.

    Args:
        model: in float32, on the CPU.
        weights: a key of `FILES`; int8 is ONNX Runtime's dynamic quantisation.
    """
    (folder / "onnx").mkdir()
    whole = folder / "onnx" / FILES["fp32"]
    _trace(model, whole)
    if weights != "fp32":
        _quantize(whole, folder / "onnx" / FILES[weights], weights)
        whole.unlink()
    # transformers.js reads the chat template in the tokenizer's configuration alone.
    tokenizer.save_pretrained(folder, save_jinja_files=False)


def _trace(model: PreTrainedModel, path: Path) -> None:
    shape = Shape.of(model.config)
    past, present = shape.names("past_key_values"), shape.names("present")
    inputs, grown = ["input_ids", "attention_mask", "position_ids"], "past_length + tokens"
    axes = {name: {0: "batch", 1: "tokens"} for name in ("input_ids", "position_ids", "logits")}
    axes["attention_mask"] = {0: "batch", 1: grown}
    axes |= {name: {0: "batch", 2: "past_length"} for name in past}
    axes |= {name: {0: "batch", 2: grown} for name in present}
    with torch.inference_mode(), warnings.catch_warnings():
        # The tracer warns of each Python number in the graph, and of its own age.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            GraphOfGPT2(model),
            shape.example(),
            str(path),
            input_names=[*inputs, *past],
            output_names=["logits", *present],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )


def _quantize(source: Path, target: Path, weights: str) -> None:
    if weights == "int8":
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(str(source), str(target), weight_type=QuantType.QInt8, per_channel=True)
        return
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    graph = onnx.load(str(source))
    _divide_products_and_sums(graph.graph)
    quantizer = MatMulNBitsQuantizer(graph, block_size=INT4_BLOCK, is_symmetric=False)
    quantizer.process()
    quantizer.model.save_model_to_file(str(target))


def _divide_products_and_sums(graph: GraphProto) -> None:
    """GPT-2's layers are traced as `Gemm`; the quantizer to 4 bits takes `MatMul` alone."""
    from onnx.helper import make_node

    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        if node.op_type != "Gemm":
            graph.node.append(node)
            continue
        values, weights, bias = node.input
        product = f"{node.output[0]}/product"
        graph.node.append(make_node("MatMul", [values, weights], [product], f"{node.name}/MatMul"))
        graph.node.append(make_node("Add", [product, bias], list(node.output), f"{node.name}/Add"))


class OnnxDecoder:
    """An exported model under ONNX Runtime (see `chat.export.check.Decoder`)."""

    def __init__(self, path: Path, config: PretrainedConfig):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.shape = Shape.of(config)
        self.start()

    def start(self) -> None:
        self.cache = [tensor.numpy() for tensor in self.shape.past(batch=1, tokens=0)]

    def feed(self, ids: Sequence[int]) -> np.ndarray:
        before = self.cache[0].shape[2]
        inputs = {
            "input_ids": np.array([ids]),
            "attention_mask": np.ones((1, before + len(ids)), dtype=np.int64),
            "position_ids": np.arange(before, before + len(ids))[None],
            **dict(zip(self.shape.names("past_key_values"), self.cache, strict=True)),
        }
        logits, *self.cache = self.session.run(None, inputs)
        return logits[0]
