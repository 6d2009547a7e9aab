"""Cornell in ConvoKit's layout: folder or zip, order of replies, films, errors."""

import json
import pickle
import re
import shutil
import sys
import zipfile
from collections import Counter

import pytest

from chat.cli import UserError
from chat.dialogue import Turn
from data_scripts import cornell
from tests.conftest import ROOT, SAMPLE, no_room, refused
from tests.processes import python

FILMS = {
    "m0": [["<i>Hi</i>  there.", "Hello."], ["Well?", "\ufffd", "No\ufffdnever."]],
    "m7": [["Run!", "Where?", "Home."]],
}


def load(path, keep_raw_text=False, dropped=None):
    return list(cornell.load(str(path), keep_raw_text, Counter() if dropped is None else dropped))


def test_scenes_are_cleaned_and_grouped_by_film(movie_corpus):
    dropped = Counter()
    first, second, third = load(movie_corpus(FILMS), dropped=dropped)
    assert first.turns == (Turn("user", "Hi there."), Turn("assistant", "Hello."))
    assert second.turns == (Turn("user", "Well? No -- never."),)
    assert [turn.text for turn in third.turns] == ["Run!", "Where?", "Home."]
    assert [each.group for each in (first, second, third)] == ["m0", "m0", "m7"]
    assert dropped == {"empty utterances": 1}


def test_raw_text_is_the_published_text(movie_corpus):
    first, second, _ = load(movie_corpus(FILMS), keep_raw_text=True)
    assert first.turns[0].text == "<i>Hi</i>  there."
    assert [turn.text for turn in second.turns] == ["Well?", "\ufffd", "No\ufffdnever."]


def test_a_zip_is_read_like_its_folder(movie_corpus, tmp_path):
    folder = movie_corpus(FILMS)
    archive = shutil.make_archive(str(tmp_path / "corpus"), "zip", tmp_path, "movie-corpus")
    assert load(archive) == load(folder)


def test_lines_follow_the_chain_of_replies_not_the_file(movie_corpus):
    folder = movie_corpus(FILMS)
    lines = (folder / "utterances.jsonl").read_text().splitlines(keepends=True)
    (folder / "utterances.jsonl").write_text("".join(lines[:5] + lines[:4:-1]))
    assert [turn.text for turn in load(folder)[-1].turns] == ["Run!", "Where?", "Home."]


def test_a_broken_chain_falls_back_to_the_files_order(movie_corpus):
    folder = movie_corpus({"m0": [["One.", "Two.", "Three."]]})
    utterances = [json.loads(line) for line in (folder / "utterances.jsonl").read_text().splitlines()]
    utterances[2]["reply-to"] = "L0"
    (folder / "utterances.jsonl").write_text("".join(json.dumps(each) + "\n" for each in utterances))
    assert [turn.text for turn in load(folder)[0].turns] == ["One.", "Two.", "Three."]


def test_the_sample_is_large_and_whole():
    dialogues = load(SAMPLE / "movie-corpus")
    assert len(dialogues) >= 60 and all(len(each.turns) >= 2 for each in dialogues)


def test_what_cannot_be_read_is_named_in_one_line(movie_corpus, tmp_path):
    (tmp_path / "text.zip").write_text("not a zip")
    (tmp_path / "folder").mkdir()
    empty = movie_corpus({}, "empty")
    broken = movie_corpus(FILMS, "broken")
    (broken / "conversations.json").write_text("{")
    in_latin_1 = movie_corpus(FILMS, "in latin 1")
    (in_latin_1 / "conversations.json").write_bytes(b'{"secret": "caf\xe9"}')
    with zipfile.ZipFile(tmp_path / "cut.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("utterances.jsonl", "some text " * 99)
    content = bytearray((tmp_path / "cut.zip").read_bytes())
    # After the entry's header and name, in the compressed bytes themselves.
    content[46] = 0xFF
    (tmp_path / "damaged.zip").write_bytes(content)
    # The flag of what is encrypted, in the entry and in the directory at the end.
    content = bytearray((tmp_path / "cut.zip").read_bytes())
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(content)
    cases = {
        tmp_path / "nowhere": "no such file or folder",
        tmp_path / "text.zip": "not a zip file",
        tmp_path / "damaged.zip": "cannot be unpacked (Error -3 while decompressing",
        tmp_path / "locked.zip": "is encrypted, password required",
        tmp_path / "folder": "has no `utterances.jsonl`",
        empty: "the corpus is empty",
        broken: "ConvoKit cannot read it",
        in_latin_1: "ConvoKit cannot read it (UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe9",
    }
    for path, problem in cases.items():
        with pytest.raises(UserError) as error:
            load(path)
        message = str(error.value)
        assert message.startswith(f"--corpora cornell={path}: ") and problem in message
        assert "\n" not in message and "secret" not in message


class Opening:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("kind", ['["bin"]', '"bin"', r'["b\u0069n"]'])
def test_a_corpus_runs_no_code(movie_corpus, tmp_path, kind):
    """ConvoKit reads values from pickles where the corpus's index says so."""
    folder, written = movie_corpus(FILMS), tmp_path / "written"
    index = json.loads((folder / "index.json").read_text()) | {"utterances-index": {"parsed": 0}}
    (folder / "index.json").write_text(json.dumps(index).replace("0", kind))
    (folder / "parsed-bin.p").write_bytes(pickle.dumps(Opening(written)))
    with pytest.raises(UserError, match="has pickled values, by which whoever made it could run any code"):
        load(folder)
    assert not written.exists()


def test_a_field_may_be_called_as_pickles_are(movie_corpus):
    folder = movie_corpus(FILMS)
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(index | {"utterances-index": {"bin": ["<class 'str'>"]}}))
    assert load(folder)


@pytest.mark.parametrize("index", ["[]", '{"a": ' * 100_000])
def test_an_index_that_is_none_is_told(movie_corpus, index):
    folder = movie_corpus(FILMS)
    (folder / "index.json").write_text(index)
    with refused("ConvoKit cannot read it"):
        load(folder)


def test_no_room_to_unpack_it_is_told(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "movie-corpus.zip", "w") as archive:
        archive.writestr("utterances.jsonl", "some text")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", no_room)
    with pytest.raises(UserError, match=r"cannot be unpacked into .* \(No space left on device\); make room"):
        load(tmp_path / "movie-corpus.zip")


def test_where_convokit_is_missing_it_is_told_how_to_install_it(movie_corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "convokit", None)
    with pytest.raises(UserError, match=r"--corpora cornell: convokit is not installed; `pip install -r"):
        load(movie_corpus(FILMS))


# As where ConvoKit was installed without its dependencies.
WITHOUT_DEPENDENCIES = """
import sys
from collections import Counter

missing = "bottleneck cleantext dns h5py msgpack_numpy numexpr sentence_transformers spacy thinc unidecode"
sys.modules.update(dict.fromkeys(missing.split()))
from data_scripts import cornell

print(len(list(cornell.load(sys.argv[1], False, Counter()))))
"""


def test_reading_takes_none_of_the_dependencies_that_python_3_14_has_no_build_of(movie_corpus):
    done = python("-c", WITHOUT_DEPENDENCIES, movie_corpus(FILMS))
    assert done.stdout == "3\n", done.stderr


def test_make_installs_the_convokit_of_the_requirements():
    said = [(ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "README.md")]
    said.append((ROOT / "data_scripts" / "cornell.py").read_text(encoding="utf-8"))
    requirements = (ROOT / "requirements-train.txt").read_text(encoding="utf-8")
    [versions] = re.findall(r'^(convokit\S+); python_version < "3\.14"$', requirements, re.MULTILINE)
    command = re.compile(rf'pip install (--quiet )?--no-deps "{re.escape(versions)}"')
    assert all(map(command.search, said))
