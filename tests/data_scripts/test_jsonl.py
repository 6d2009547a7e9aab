"""A user's own dialogues as JSON lines."""

import json
from collections import Counter

import pytest

from chat.cli import UserError
from chat.dialogue import Dialogue, Turn
from data_scripts import jsonl

TURNS = [{"role": "user", "text": "Hi! "}, {"role": "assistant", "text": "Hello , you !"}]


def test_only_turns_are_required_and_text_stands_as_written(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"turns": TURNS}) + "\n\n" + json.dumps({"turns": TURNS, "split": "val"}))
    first, second = jsonl.load(str(path), False, Counter())
    assert first == Dialogue("jsonl", (Turn("user", "Hi!"), Turn("assistant", "Hello , you !")))
    assert second.split == "val"


def test_a_line_of_another_encoding_is_named(tmp_path):
    path = tmp_path / "x.jsonl"
    line = json.dumps({"turns": TURNS})
    path.write_bytes(line.encode() + b"\n" + line.replace("Hi", "Caf\u00e9").encode("latin-1") + b"\n")
    with pytest.raises(UserError, match=r"line 2 is not a dialogue .*can't decode"):
        list(jsonl.load(str(path), False, Counter()))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"--corpora .*nowhere.jsonl: no such file"):
        list(jsonl.load(str(tmp_path / "nowhere.jsonl"), False, Counter()))
    with pytest.raises(UserError, match=r"give the file as jsonl=FILE.jsonl"):
        list(jsonl.load(None, False, Counter()))
