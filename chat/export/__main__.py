"""Exports a GPT-2 in our chat format to OpenVINO or ONNX, checked against torch.

python -m chat.export --model models/pocket --to openvino --weights int8
"""

from __future__ import annotations

from chat.cli import parse_arguments, run
from chat.export.arguments import ExportArguments


def main() -> None:
    arguments = parse_arguments(ExportArguments, description=__doc__)
    from chat.export.run import export_model

    folder, found = export_model(arguments)
    print(f"{arguments.weights}: {found}")
    print(f"the export is in {folder}")


if __name__ == "__main__":
    run(main)
