"""Dialogues as JSON lines: what is written is read back, and bad lines are named."""

import json
import re

import pytest

from chat import jsonl
from chat.cli import UserError
from chat.dialogue import Dialogue, Turn
from tests.conftest import refused

TURNS = [{"role": "user", "text": "Hi! "}, {"role": "assistant", "text": "Hello , you !"}]


def test_what_is_written_is_read_back(tmp_path):
    dialogues = [
        Dialogue("a", (Turn("user", "Hé!"), Turn("assistant", "\u2028")), ("I sing.",), "film"),
        Dialogue(
            "b", (Turn("assistant", "Hi."), Turn("user", "Yes?"), Turn("assistant", "No.", ("So.", "X")))
        ),
    ]
    jsonl.write(dialogues, tmp_path / "deep" / "x.jsonl")
    back = list(jsonl.read(tmp_path / "deep" / "x.jsonl"))
    assert back[1] == dialogues[1] and back[0].persona == ("I sing.",) and back[0].group == "film"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "Expecting"),
        ("[]", "is not a dialogue"),
        ("{}", "missing 'turns'"),
        ('{"turns": [{"role": "user"}]}', "missing 'text'"),
        ('{"turns": [{"role": "bot", "text": "x"}]}', "role `bot` is neither user nor assistant"),
        ('{"turns": [{"role": "user", "text": 3}]}', "is not a dialogue"),
        ('{"turns": 5}', "is not a dialogue"),
        pytest.param("[" * 100_000, "is not a dialogue (", id="nested too deeply"),
        ('{"turns": [], "persona": "I sing."}', "`persona` must be a list"),
        ('{"turns": [{"role": "user", "text": "x", "distractors": "abc"}]}', "`distractors` must be a list"),
        (
            '{"turns": [{"role": "user", "text": "x", "distractors": ["a", null]}]}',
            "must be a list of replies",
        ),
        ('{"turns": [{"role": "user", "text": "Nice \\ud83d"}]}', "surrogates not allowed"),
        ('{"turns": [], "split": "dev"}', "split `dev` is neither train nor val"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path, line, problem):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"turns": TURNS}) + "\n" + line + "\n")
    with refused(problem, begins=f"--data {path}: line 2 "):
        list(jsonl.read(path))


def test_an_emoji_in_the_utf_8_of_java_and_oracle_is_named_by_its_line(tmp_path):
    path = tmp_path / "x.jsonl"
    line = '{"turns": [{"role": "user", "text": "\ud83d\ude00"}]}'
    path.write_bytes(line.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError, match=r"line 1 is not a dialogue .*surrogates not allowed"):
        list(jsonl.read(path))


def test_false_replies_stay_with_a_reply_that_has_spaces_around_it(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"turns": [TURNS[0], {**TURNS[1], "text": " Yes. ", "distractors": ["No."]}]}))
    [dialogue] = jsonl.read(path)
    assert dialogue.turns[1] == Turn("assistant", "Yes.", ("No.",))


def test_a_persona_that_says_nothing_is_none(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"turns": TURNS, "persona": ["", " "]}) + "\n")
    [dialogue] = jsonl.read(path)
    assert dialogue.persona == ()


def test_what_is_null_is_not_given(tmp_path):
    """As other programs write columns in which nothing stands."""
    path = tmp_path / "x.jsonl"
    turns = [{**turn, "distractors": None} for turn in TURNS]
    empty = {"persona": None, "group": None, "split": None, "source": None}
    path.write_text(json.dumps({"turns": turns, **empty}) + "\n" + json.dumps({"turns": TURNS}) + "\n")
    nulls, absent = jsonl.read(path)
    assert nulls == absent and (nulls.group, nulls.source) == ("", "jsonl")


def test_lines_of_another_form_are_told_ours(tmp_path):
    """By an example, which is a dialogue itself."""
    path = tmp_path / "logs.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "Hi!"}]}\n')
    with pytest.raises(UserError, match=r"missing 'turns'") as error:
        list(jsonl.read(path))
    example = re.search(r"\{.*\}", str(error.value)).group()
    path.write_text(example)
    [dialogue] = jsonl.read(path)
    assert len(dialogue.turns) == 2
