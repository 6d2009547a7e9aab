"""The flags of `python -m chat.export`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

SAMPLE_DIALOGUES = Path(__file__).resolve().parent / "dialogues.jsonl"


@dataclass(frozen=True)
class ExportArguments:
    model: str = field(metadata={"help": "Path or Hub id of a GPT-2 in our chat format."})
    to: Literal["openvino", "onnx"] = field(
        default="openvino",
        metadata={"help": "openvino: for this project's engine; onnx: for ONNX Runtime and browsers."},
    )
    weights: Literal["fp32", "int8", "int4"] = field(
        default="int8", metadata={"help": "Precision in which the weights are kept."}
    )
    dialogues: str | None = field(
        default=None,
        metadata={
            "help": "Validation dialogues as JSON lines, on which the export is compared with torch "
            "(default: our own)."
        },
    )
    output: str | None = field(
        default=None,
        metadata={
            "help": "Folder to write (default: `openvino` in the model's folder, or MODEL-onnx beside it)."
        },
    )
