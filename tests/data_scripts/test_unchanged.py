"""Preparing again: nothing is done where nothing changed, and all that could change the dataset counts."""

import dataclasses
import logging
import os
import shutil
from pathlib import Path

import pytest

from data_scripts import fingerprint
from data_scripts import prepare as prepare_module
from data_scripts.arguments import PrepareArguments
from data_scripts.prepare import prepare
from tests.conftest import SAMPLE_CORPORA, change_json
from tests.processes import python


@pytest.fixture
def unchanged(prepared, tmp_path, base_tokenizer_folder, monkeypatch):
    """Arguments of which the dataset is there, and a list of the times that a dataset was written after."""
    output = tmp_path / "data"
    shutil.copytree(prepared, output)
    written = []
    monkeypatch.setattr(prepare_module, "_write", lambda arguments, inputs: written.append(arguments) or {})
    arguments = PrepareArguments(
        corpora=SAMPLE_CORPORA, output=str(output), tokenizer=str(base_tokenizer_folder)
    )
    return arguments, written


def test_where_nothing_changed_nothing_is_done_and_it_is_said(unchanged, caplog):
    arguments, written = unchanged
    with caplog.at_level(logging.INFO, "data_scripts"):
        stats = prepare(arguments)
    assert not written and stats["total"]["train"]["sequences"] and "inputs" in stats
    [line] = caplog.messages
    assert line.startswith(f"nothing changed: {arguments.output} ") and "\n" not in line
    assert "--refresh" not in line


def test_what_is_downloaded_is_said_to_be_known_by_name(unchanged, caplog, monkeypatch):
    arguments, written = unchanged
    found = {"options": "a", "--corpora cornell": fingerprint.BY_NAME}
    monkeypatch.setattr(fingerprint, "of_inputs", lambda *_: found)
    change_json(Path(arguments.output) / "stats.json", inputs=found)
    with caplog.at_level(logging.INFO, "data_scripts"):
        prepare(arguments)
    assert not written
    assert caplog.messages[0].endswith("(--corpora cornell by name only; --refresh prepares anew)")


DECIDING_NOTHING = {"num_proc": 1, "push_to_hub": "someone/talk", "hub_public": True}
CHANGED = {
    "corpora": [SAMPLE_CORPORA[1]],
    "tokenizer": "openai-community/gpt2",
    "train_tokenizer_vocab_size": 500,
    "max_length": 255,
    "history_turns": 3,
    "keep_raw_text": True,
    "plain_text": True,
    "both_sides": ["personachat"],
    "swapped_copies": ["personachat=1"],
    "val_fraction": 0.06,
    "times": ["cornell=2"],
    "seed": 1,
    "refresh": True,
}


@pytest.mark.parametrize(
    "option",
    [field.name for field in dataclasses.fields(PrepareArguments) if field.name not in DECIDING_NOTHING],
)
def test_every_other_option_prepares_anew(unchanged, option, tmp_path):
    arguments, written = unchanged
    prepare(dataclasses.replace(arguments, **{option: {**CHANGED, "output": str(tmp_path / "new")}[option]}))
    assert len(written) == 1


@pytest.mark.parametrize("damage", [os.remove, lambda path: os.truncate(path, 100)])
@pytest.mark.parametrize(
    "part", ["train/data-00000-of-00001.arrow", "tokenizer/tokenizer.json", "dialogues/val.jsonl"]
)
def test_a_dataset_that_lost_something_is_prepared_anew(unchanged, part, damage, caplog):
    arguments, written = unchanged
    damage(f"{arguments.output}/{part}")
    with caplog.at_level(logging.INFO, "data_scripts"):
        prepare(arguments)
    assert len(written) == 1 and "since this has changed: files of the dataset itself" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", '{"format_version": 1, "inputs": {}}', "[]", "null", "3", '{"inputs": null}'),
        *('{"inputs": [1]}', '{"inputs": {}, "files": []}'),
        pytest.param("[" * 100_000, id="nested too deeply"),
    ],
)
def test_statistics_without_the_inputs_are_prepared_anew(unchanged, text):
    arguments, written = unchanged
    (Path(arguments.output) / "stats.json").write_text(text)
    prepare(arguments)
    assert len(written) == 1


def test_a_changed_corpus_changes_the_dataset(movie_corpus, tmp_path, base_tokenizer_folder):
    films = {f"m{film}": [[f"Is this film {film}?", "It is."]] for film in range(4)}
    folder = movie_corpus(films)
    arguments = PrepareArguments(
        corpora=[f"cornell={folder}"], tokenizer=str(base_tokenizer_folder), output=str(tmp_path / "data")
    )
    prepare(arguments)
    utterances = folder / "utterances.jsonl"
    utterances.write_text(utterances.read_text().replace("It is.", "It was"))
    prepare(arguments)
    assert '"It was"' in (tmp_path / "data" / "dialogues" / "train.jsonl").read_text()


RUN_AND_LIST_MODULES = """
import atexit, sys
from chat.cli import run
from data_scripts.prepare import main
atexit.register(lambda: print(*sorted(sys.modules)))
run(main)
"""


def test_neither_the_hub_nor_the_number_of_processes_prepares_anew(unchanged):
    arguments, written = unchanged
    prepare(dataclasses.replace(arguments, **DECIDING_NOTHING))
    assert not written


@pytest.mark.slow
def test_the_quick_answer_loads_no_library(tmp_path, base_tokenizer_folder):
    """The second run finds nothing changed."""
    flags = ["--corpora", *SAMPLE_CORPORA, "--tokenizer", str(base_tokenizer_folder), "--num-proc", "1"]
    modules = []
    for _ in range(2):
        result = python("-c", RUN_AND_LIST_MODULES, *flags, "--output", tmp_path / "data")
        assert result.returncode == 0, result.stderr
        modules.append(set(result.stdout.splitlines()[-1].split()))
    assert {"torch", "convokit", "datasets"} <= modules[0]
    assert not {"torch", "convokit", "datasets", "pyarrow", "pandas"} & modules[1]
    assert result.stderr.startswith("nothing changed: ")
