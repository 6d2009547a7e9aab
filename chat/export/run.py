"""An export from start to end: load, write, compare with torch, refuse or keep."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError
from chat.export.arguments import SAMPLE_DIALOGUES, ExportArguments
from chat.export.cache import EXPORT, MODEL_FILE, SHIPPED, fingerprint, record
from chat.export.check import Decoder, ExportCheck, check, to_compare
from chat.export.graph import check_exportable
from chat.export.onnx import FILES, OnnxDecoder, check_onnx_is_installed, export_onnx
from chat.export.openvino import OpenVinoDecoder, export_openvino
from chat.folders import whole_folder
from chat.hub.loading import load_causal_lm, load_chat_tokenizer, load_config, model_folder
from chat.quiet import quiet_libraries

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def export_model(arguments: ExportArguments) -> tuple[Path, ExportCheck]:
    """Exports and checks as the flags say; returns the folder and what the check found.

    Raises:
        UserError: the model cannot be loaded or is no GPT-2 in our format, the folder cannot be written, or
            the export's perplexity is too far from torch's: then nothing is written.
    """
    if arguments.to == "onnx":
        check_onnx_is_installed()
    source = Path(os.path.abspath(model_folder(arguments.model, "--model")))
    default = source / SHIPPED if arguments.to == SHIPPED else source.with_name(f"{source.name}-onnx")
    output = Path(arguments.output) if arguments.output else default
    dialogues = Path(arguments.dialogues) if arguments.dialogues else SAMPLE_DIALOGUES
    with whole_folder(output, EXPORT, "--output") as scratch:
        found = write_export(source, scratch, arguments.to, arguments.weights, "--model", dialogues)
        record(scratch, fingerprint(source), arguments.weights, check=found.to_json())
    return output, found


def write_export(
    source: Path, folder: Path, to: str, weights: str, flag: str, dialogues: Path = SAMPLE_DIALOGUES
) -> ExportCheck:
    """Fills an empty folder with an export of the model in `source`, but for its `EXPORT_FILE`.

    Raises:
        UserError: as `export_model`.
    """
    check_exportable(load_config(str(source), flag), flag, str(source))
    tokenizer = load_chat_tokenizer(str(source), flag)
    model = load_causal_lm(str(source), flag)
    # What is wrong with them is told before the work.
    sequences = to_compare(dialogues, model, tokenizer)
    with quiet_libraries():
        exported = _write(model, tokenizer, folder, to, weights)
    found = check(exported, model, tokenizer, sequences)
    if not found.holds:
        another = f"make one by `python -m chat.export --model {source} --to {to} --weights fp32`, or "
        raise UserError(
            f"{flag} {source}: the {weights} export is refused ({found}); "
            f"{'' if weights == 'fp32' else another}chat with the torch engine"
        )
    return found


def _write(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, to: str, weights: str
) -> Decoder:
    for part in (model.config, model.generation_config):
        part.save_pretrained(folder)
    if to == "onnx":
        export_onnx(model, tokenizer, folder, weights)
        return OnnxDecoder(folder / "onnx" / FILES[weights], model.config)
    export_openvino(model, tokenizer, folder, weights)
    return OpenVinoDecoder(folder / MODEL_FILE)
