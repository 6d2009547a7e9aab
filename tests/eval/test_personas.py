"""Personas from files: our own ones, and a user's with what may be wrong in them."""

import json

import pytest

from chat.cli import UserError
from chat.session import persona_from
from eval.personas import OWN_PERSONAS, read_personas
from tests.conftest import refused


def test_our_own_personas_are_different_and_reach_the_chat_whole():
    personas = read_personas(OWN_PERSONAS)
    sentences = [sentence for persona in personas for sentence in persona]
    assert len(personas) == 20 and len(set(sentences)) == len(sentences)
    for persona in personas:
        assert 4 <= len(persona) <= 5 and persona_from(persona) == persona
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in sentences)


def test_text_and_json_lines_say_the_same(tmp_path):
    (tmp_path / "mine.txt").write_text("\nI have two cats.\nI am  a nurse. \n\n\nI sail.\n")
    lines = [{"persona": ["I have two cats.", "I am a nurse."]}, {"persona": ["I sail.", " "], "group": "x"}]
    (tmp_path / "mine.jsonl").write_text("\n\n".join(map(json.dumps, lines)))
    expected = [("I have two cats.", "I am a nurse."), ("I sail.",)]
    assert read_personas(tmp_path / "mine.txt") == read_personas(tmp_path / "mine.jsonl") == expected


def test_the_mark_that_windows_puts_before_a_text_is_no_part_of_a_persona(tmp_path):
    (tmp_path / "mine.txt").write_text("I have two cats.\n\nI sail.", encoding="utf-8-sig")
    (tmp_path / "mine.jsonl").write_text(f'{{"persona": ["I have two cats."]}}\n{GOOD}', encoding="utf-8-sig")
    for name in ("mine.txt", "mine.jsonl"):
        assert read_personas(tmp_path / name) == [("I have two cats.",), ("I sail.",)]


GOOD = '{"persona": ["I sail."]}'


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("p.jsonl", f"{GOOD}\n[1, 2]", "line 2 is not a persona (expected"),
        ("p.jsonl", f"{GOOD}\n\nI have two cats.", "line 3 is not a persona (Expecting value"),
        ("p.jsonl", '{"persona": "I sail."}', "line 1 is not a persona (expected"),
        ("p.jsonl", '{"persona": [" "]}', "line 1 is not a persona (it has no sentence)"),
        ("p.jsonl", '{"persona": ["\\ud800"]}', "line 1 is not a persona"),
        pytest.param("p.jsonl", "[" * 100_000, "line 1 is not a persona", id="nested too deeply"),
        ("p.jsonl", json.dumps({"persona": ["I sail."] * 9}), "line 1 goes beyond 8 sentences"),
        ("p.txt", "I sail.\n\n" + "I row.\n" * 9, "line 11 goes beyond 8 sentences"),
        ("p.txt", f"I sail.\n\nI row.\n{'x' * 201}", "line 4 has a sentence of 201 characters"),
        ("p.txt", "I sail.\n\nI sail.", "fewer than two different personas"),
        ("p.txt", "", "fewer than two different personas"),
    ],
)
def test_a_bad_line_is_named(tmp_path, name, text, problem):
    (tmp_path / name).write_text(text)
    with refused(f"--personas {tmp_path / name}: {problem}"):
        read_personas(tmp_path / name)


def test_a_file_that_is_none_is_named(tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"I like caf\xe9s.\n\nI sail.")
    for name, problem in (("nowhere.txt", "No such file"), ("", "directory"), ("latin.txt", "not UTF-8")):
        with pytest.raises(UserError, match=problem):
            read_personas(tmp_path / name)
