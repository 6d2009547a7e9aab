"""How long `data_scripts.prepare` takes and how much memory: cold, and when nothing changed.

    python -m benchmarks.prepare_throughput --tokenizer gpt2-tokenizer \\
        --corpora cornell=movie-corpus.zip personachat=persona-chat

Each run is the user's command in a process of its own. Cold is an empty output folder and an empty cache of
`datasets`, imports included; the files themselves may be in the system's cache. The last line is the result
as JSON, which `--output` gets too.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from benchmarks.processes import Measurement, measure
from benchmarks.reports import report
from chat.cli import UserError, check_numbers, parse_arguments, run
from chat.published_paths import without_folders
from data_scripts import fingerprint

ROOT = Path(__file__).resolve().parent.parent
COLD_LIMIT_SECONDS = 60
UNCHANGED_LIMIT_SECONDS = 3
MEMORY_LIMIT_BYTES = 2_000_000_000


@dataclass(frozen=True)
class BenchmarkArguments:
    corpora: list[str] = field(
        metadata={"help": "Local copies as NAME=PATH, such as cornell=movie-corpus.zip personachat=FOLDER."}
    )
    tokenizer: str = field(metadata={"help": "Folder of GPT-2's tokenizer."})
    learnt_vocab_size: int = field(
        default=8000, metadata={"help": "Measure a learnt tokenizer of this many tokens too (0: not)."}
    )
    num_proc: int = field(default=2, metadata={"help": "--num-proc of `prepare`."})
    runs: int = field(default=3, metadata={"help": "Runs of each kind; the median is reported."})
    output: str | None = field(
        default=None,
        metadata={"help": "File for the JSON, such as benchmarks/results/prepare_throughput.json."},
    )

    def __post_init__(self):
        check_numbers(self, at_least_one=("runs",))
        for specification in self.corpora:
            path = specification.partition("=")[2]
            if not path or not Path(path).exists():
                raise UserError(f"--corpora {specification}: no such file or folder; give NAME=PATH")
        if not Path(self.tokenizer).exists():
            raise UserError(f"--tokenizer {self.tokenizer}: no such folder; give a local copy")
        if not Path("/proc/self/smaps_rollup").exists():
            raise UserError("this benchmark reads memory from /proc/PID/smaps_rollup; run it on Linux")


def benchmark(arguments: BenchmarkArguments) -> dict:
    """Measures each variant; the result names corpora by size and checksum, never by path."""
    variants = {"gpt2 tokenizer": ["--tokenizer", str(Path(arguments.tokenizer).resolve())]}
    if arguments.learnt_vocab_size:
        size = str(arguments.learnt_vocab_size)
        variants[f"learnt tokenizer of {size}"] = ["--train-tokenizer-vocab-size", size]
    return {
        "benchmark": "prepare_throughput",
        "limits": {
            "cold_seconds": COLD_LIMIT_SECONDS,
            "unchanged_seconds": UNCHANGED_LIMIT_SECONDS,
            "peak_memory_bytes": MEMORY_LIMIT_BYTES,
        },
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in fingerprint.LIBRARIES},
        "num_proc": arguments.num_proc,
        "corpora": [_description(specification) for specification in arguments.corpora],
        "variants": {name: _measure_variant(arguments, flags) for name, flags in variants.items()},
    }


def _description(specification: str) -> dict:
    name, _, path = specification.partition("=")
    files = (
        [Path(path)] if Path(path).is_file() else [each for each in Path(path).rglob("*") if each.is_file()]
    )
    found = fingerprint.of_inputs({}, [specification], None)
    checksum = found[f"--corpora {without_folders(specification)}"]
    return {
        "name": name,
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "sha256_of_checksums": checksum,
    }


def _measure_variant(arguments: BenchmarkArguments, flags: list[str]) -> dict:
    cold, unchanged = [], []
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory() as scratch:
            cold.append(_prepare(arguments, flags, Path(scratch)))
            unchanged.append(_prepare(arguments, flags, Path(scratch)))
            if "nothing changed: " not in unchanged[-1].printed:
                raise UserError("--corpora: something changed between the runs; leave the inputs alone")
            total = json.loads((Path(scratch) / "data" / "stats.json").read_text(encoding="utf-8"))["total"]
    return {"cold": _summary(cold), "unchanged": _summary(unchanged), "total": total}


def _prepare(arguments: BenchmarkArguments, flags: list[str], scratch: Path) -> Measurement:
    specifications = (specification.partition("=") for specification in arguments.corpora)
    corpora = [f"{name}={Path(path).resolve()}" for name, _, path in specifications]
    command = [sys.executable, "-m", "data_scripts.prepare", "--corpora", *corpora, *flags]
    command += ["--output", str(scratch / "data"), "--num-proc", str(arguments.num_proc)]
    environment = {**os.environ, "HF_HOME": str(scratch / "cache"), "TMPDIR": str(scratch)}
    return measure(command, environment, ROOT)


def _summary(runs: list[Measurement]) -> dict:
    return {
        "seconds": round(statistics.median(each.seconds for each in runs), 2),
        "slowest_seconds": round(max(each.seconds for each in runs), 2),
        "cpu_seconds": round(statistics.median(each.cpu_seconds for each in runs), 2),
        "other_cpu_seconds": round(max(each.other_cpu_seconds for each in runs), 2),
        "peak_memory_bytes": max(each.peak_memory_bytes for each in runs),
        "runs": len(runs),
    }


def render(result: dict) -> str:
    """The result as lines, with the limit beside each figure."""
    lines = [
        f"{'':<32}{'median s':>10}{'slowest s':>11}{'limit s':>9}{'CPU s':>8}{'others':>8}{'peak GB':>9}"
    ]
    for name, variant in result["variants"].items():
        for kind in ("cold", "unchanged"):
            figures, limit = variant[kind], result["limits"][f"{kind}_seconds"]
            lines.append(
                f"{f'{name}, {kind}':<32}{figures['seconds']:>10.2f}{figures['slowest_seconds']:>11.2f}"
                f"{limit:>9}{figures['cpu_seconds']:>8.1f}{figures['other_cpu_seconds']:>8.1f}"
                f"{figures['peak_memory_bytes'] / 1e9:>9.2f}"
            )
    memory = result["limits"]["peak_memory_bytes"] / 1e9
    note = "others: CPU s that other programs took at the same time"
    return "\n".join([*lines, f"{result['cpus']} CPUs; limit of memory {memory:g} GB; {note}"])


def main() -> None:
    arguments = parse_arguments(BenchmarkArguments, description=__doc__)
    report(benchmark(arguments), render, arguments.output)


if __name__ == "__main__":
    run(main)
