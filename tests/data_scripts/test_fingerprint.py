"""What counts as a change of a dataset's inputs, and what does not."""

import errno
import os
import shutil
from modulefinder import ModuleFinder
from pathlib import Path

import pytest

from chat.cli import UserError
from data_scripts import fingerprint
from tests.conftest import ROOT


@pytest.fixture
def inputs(tmp_path):
    """A function that takes the checksums of a corpus in a folder, one in a file, and a tokenizer."""
    for path in ("rows/data/train.jsonl", "rows/card.md", "own.jsonl", "tokenizer/vocab.json"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("some content")

    def take(**options) -> dict[str, str]:
        corpora = [f"personachat={tmp_path / 'rows'}", f"jsonl={tmp_path / 'own.jsonl'}", "cornell"]
        return fingerprint.of_inputs({"seed": 0, **options}, corpora, str(tmp_path / "tokenizer"))

    return take


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("rows/data/train.jsonl", "--corpora personachat="),
        ("rows/data/more.jsonl", "--corpora personachat="),
        ("own.jsonl", "--corpora jsonl="),
        ("tokenizer/vocab.json", "--tokenizer"),
        ("tokenizer/added.json", "--tokenizer"),
    ],
)
def test_a_changed_byte_or_a_new_file_is_a_change_even_at_the_same_time_and_size(
    inputs, tmp_path, path, changed
):
    before = inputs()
    times = (0, 0)
    (tmp_path / path).write_text("Some content")
    os.utime(tmp_path / path, times)
    [change] = fingerprint.changes(inputs(), before)
    assert change.startswith(changed)


def test_of_two_files_of_one_name_both_count(tmp_path):
    files = [tmp_path / folder / "talk.jsonl" for folder in ("first", "second")]
    for file in files:
        file.parent.mkdir()
        file.write_text("some content")
    corpora = [f"jsonl={file}" for file in files]
    for file in files:
        before = fingerprint.of_inputs({}, corpora, None)
        file.write_text("other content")
        after = fingerprint.of_inputs({}, corpora, None)
        assert fingerprint.changes(after, before) == ["--corpora jsonl=talk.jsonl"]


def test_what_is_given_no_more_is_a_change():
    assert fingerprint.changes({"a": "1"}, {"a": "1", "b": "2"}) == ["b"]


def test_a_file_that_goes_or_is_renamed_is_a_change(inputs, tmp_path):
    before = inputs()
    (tmp_path / "rows/data/train.jsonl").rename(tmp_path / "rows/data/test.jsonl")
    renamed = inputs()
    assert len(fingerprint.changes(renamed, before)) == 1
    (tmp_path / "rows/data/test.jsonl").unlink()
    assert len(fingerprint.changes(inputs(), renamed)) == 1


def test_a_copy_and_a_new_time_are_no_change(inputs, tmp_path):
    before = inputs()
    shutil.copy(tmp_path / "own.jsonl", tmp_path / "copy")
    os.replace(tmp_path / "copy", tmp_path / "own.jsonl")
    os.utime(tmp_path / "rows/card.md", (1, 1))
    assert fingerprint.changes(inputs(), before) == []


def test_checkpoints_below_a_tokenizer_are_none_of_its_files(inputs, tmp_path):
    before = inputs()
    (tmp_path / "tokenizer" / "checkpoint-10").mkdir()
    (tmp_path / "tokenizer" / "checkpoint-10" / "model.safetensors").write_text("weights")
    assert fingerprint.changes(inputs(), before) == []


def test_options_and_libraries_and_code_count(inputs, tmp_path, monkeypatch):
    before = inputs()
    assert fingerprint.changes(inputs(seed=1), before) == ["options"]
    monkeypatch.setattr(fingerprint, "_version", lambda library: "99")
    assert fingerprint.changes(inputs(), before) == ["libraries"]
    monkeypatch.undo()
    shutil.copytree(fingerprint.CODE, tmp_path / "code" / "data_scripts")
    shutil.copytree(fingerprint.CODE.parent / "chat", tmp_path / "code" / "chat")
    monkeypatch.setattr(fingerprint, "CODE", tmp_path / "code" / "data_scripts")
    assert fingerprint.changes(inputs(), before) == []
    for name in (
        "data_scripts/proper_nouns.txt",
        "data_scripts/persona_questions.yaml",
        "chat/chat_template.jinja",
    ):
        before = inputs()
        with open(tmp_path / "code" / name, "a") as changed:
            changed.write("Xanadu\n")
        assert fingerprint.changes(inputs(), before) == ["code"]


def test_all_that_is_imported_of_chat_counts_but_what_cannot_change_a_dataset():
    finder = ModuleFinder([str(ROOT)])
    for path in fingerprint.CODE.glob("*.py"):
        finder.run_script(str(path))
    modules = {Path(module.__file__) for module in finder.modules.values() if module.__file__}
    data = {path for path in (ROOT / "chat").glob("[!.]*.*") if path.suffix != ".py"}
    of_chat = {path.relative_to(ROOT).as_posix() for path in modules | data if ROOT / "chat" in path.parents}
    of_the_hub = (
        *("__init__", "cards", "errors", "merged_cards", "path_or_id", "publishing"),
        *("repositories", "secrets"),
    )
    without_influence = (
        "__init__",
        "cli",
        "config_file",
        "folders",
        "markdown",
        "printable",
        "published_paths",
        *(f"hub/{name}" for name in of_the_hub),
    )
    counted = {f"chat/{name}" for name in fingerprint.CHAT_CODE}
    assert counted == of_chat - {f"chat/{name}.py" for name in without_influence}


def test_large_files_count_by_size_and_time(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "DIGESTED_BYTES", 4)
    before = inputs()
    assert fingerprint.changes(inputs(), before) == []
    os.utime(tmp_path / "own.jsonl", (1, 1))
    assert len(fingerprint.changes(inputs(), before)) == 1


def test_what_is_downloaded_is_known_by_name(inputs):
    found = inputs()
    assert found["--corpora cornell"] == fingerprint.BY_NAME
    assert [name for name, value in found.items() if value == fingerprint.BY_NAME] == ["--corpora cornell"]
    hub = fingerprint.of_inputs({}, ["personachat=some/dataset"], "openai-community/gpt2")
    assert hub["--corpora personachat=some/dataset"] == hub["--tokenizer"] == fingerprint.BY_NAME
    assert "--tokenizer" not in fingerprint.of_inputs({}, [], None)


def test_what_is_made_here_is_known_by_the_code_that_makes_it(tmp_path):
    found = fingerprint.of_inputs({}, ["persona_questions"], None)
    assert found["--corpora persona_questions"] == found["code"]
    (tmp_path / "mine.yaml").write_text("words: {}")
    own = fingerprint.of_inputs({}, [f"persona_questions={tmp_path / 'mine.yaml'}"], None)
    assert own["--corpora persona_questions=mine.yaml"] not in (own["code"], fingerprint.BY_NAME)


def test_a_file_that_may_not_be_read_is_named(inputs, tmp_path, monkeypatch):
    take = fingerprint._of_file

    def unreadable(path):
        if path.name != "card.md":
            return take(path)
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(fingerprint, "_of_file", unreadable)
    with pytest.raises(UserError, match=r"--corpora .*rows: .*card\.md cannot be read \(Permission denied\)"):
        fingerprint.of_inputs({}, [f"personachat={tmp_path / 'rows'}"], None)


def test_what_comes_through_a_pipe_may_be_something_else_each_time(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    given = {}, [f"jsonl={tmp_path / 'pipe'}"], None
    assert fingerprint.changes(fingerprint.of_inputs(*given), fingerprint.of_inputs(*given))
