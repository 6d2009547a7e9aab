"""The benchmark of `prepare`, on the sample corpora: true figures, no machine's paths, errors in one line."""

import json
import os
import sys

import pytest

from benchmarks import prepare_throughput
from benchmarks.prepare_throughput import BenchmarkArguments
from benchmarks.processes import measure
from chat.cli import UserError
from tests.conftest import ROOT, SAMPLE_CORPORA, refused

RESULT = ROOT / "benchmarks" / "results" / "prepare_throughput.json"


@pytest.fixture
def environment(tmp_path):
    return {**os.environ, "TMPDIR": str(tmp_path)}


def test_the_memory_of_all_processes_counts_and_shared_pages_once(environment, tmp_path):
    code = (
        "import os, time\n"
        "shared = b'x' * 100_000_000\n"
        "os.fork()\n"
        "own = b'x' * 100_000_000\n"
        "time.sleep(1)\n"
        "print('done')\n"
    )
    measured = measure([sys.executable, "-c", code], environment, tmp_path)
    assert 300e6 < measured.peak_memory_bytes < 350e6
    assert measured.seconds > 1 > measured.cpu_seconds > 0
    assert "done" in measured.printed


def test_a_command_that_fails_is_an_error_of_one_line(environment, tmp_path):
    with pytest.raises(UserError, match="ended with status 1; mend this: broken") as error:
        measure([sys.executable, "-c", "import sys; sys.exit('broken')"], environment, tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_the_sample_is_measured_and_the_last_line_is_the_file(
    base_tokenizer_folder, tmp_path, capsys, monkeypatch
):
    flags = ["--corpora", *SAMPLE_CORPORA, "--tokenizer", str(base_tokenizer_folder)]
    flags += ["--runs", "1", "--learnt-vocab-size", "0", "--output", str(tmp_path / "result.json")]
    monkeypatch.setattr(sys, "argv", ["prepare_throughput", *flags])
    prepare_throughput.main()
    *lines, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)
    assert result == json.loads((tmp_path / "result.json").read_text())
    variant = result["variants"]["gpt2 tokenizer"]
    assert variant["cold"]["seconds"] > variant["unchanged"]["seconds"] > 0
    assert any("unchanged" in line and f"{variant['unchanged']['seconds']:.2f}" in line for line in lines)
    assert [corpus["name"] for corpus in result["corpora"]] == ["cornell", "personachat"]
    assert str(ROOT) not in last and str(tmp_path) not in last and str(base_tokenizer_folder) not in last


def test_the_committed_result_keeps_the_limits_and_names_no_path():
    text = RESULT.read_text(encoding="utf-8")
    result = json.loads(text)
    assert "/" not in text
    for variant in result["variants"].values():
        for kind in ("cold", "unchanged"):
            assert variant[kind]["slowest_seconds"] <= result["limits"][f"{kind}_seconds"]
            assert variant[kind]["peak_memory_bytes"] <= result["limits"]["peak_memory_bytes"]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"corpora": ["cornell"]}, "--corpora cornell: no such file or folder; give NAME=PATH"),
        ({"corpora": ["cornell=nowhere.zip"]}, "--corpora cornell=nowhere.zip: no such file or folder"),
        ({"tokenizer": "nowhere"}, "--tokenizer nowhere: no such folder"),
        ({"runs": 0}, "--runs 0: give at least 1"),
    ],
)
def test_what_cannot_be_measured_is_named(wrong, problem, base_tokenizer_folder):
    with refused(begins=problem):
        BenchmarkArguments(**{"corpora": SAMPLE_CORPORA, "tokenizer": str(base_tokenizer_folder), **wrong})
