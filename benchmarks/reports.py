"""What all benchmarks report: the CPU that they ran on, and their results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from chat.devices import BFLOAT16_INSTRUCTIONS

INSTRUCTIONS = ("avx2", "avx_vnni", "avx512_f", "avx512_vnni", "amx_int8", "neon", "dot", "i8mm")


def describe_cpu() -> str:
    """Its name, and the instructions on which the speed of a model depends."""
    import torch

    has = torch.cpu.get_capabilities()
    names = [name for name in (*INSTRUCTIONS, *BFLOAT16_INSTRUCTIONS) if has.get(name)]
    return f"{has.get('cpu_name') or has['architecture']} ({', '.join(names)})"


def report(results: dict, render: Callable[[dict], str], output: str | None = None) -> None:
    """Prints results as tables and, last, as a line of JSON; the file `output` gets them, too."""
    print(render(results))
    if output:
        write(results, Path(output))
    print(json.dumps(results))


def write(results: dict, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
