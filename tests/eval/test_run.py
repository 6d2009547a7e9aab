"""`python -m eval.run` from models on disk to its results, and its errors."""

import json
import math
import subprocess
import sys

import pytest

from chat.cli import UserError
from eval.report import render
from eval.run import EvalArguments, evaluate_models
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def settings(model_folder, tiny_config_file, prepared):
    return {
        "model": str(model_folder),
        "base": str(tiny_config_file),
        "data": str(prepared),
        "max_dialogues": 5,
        "generated_replies": 4,
    }


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory):
    output = tmp_path_factory.mktemp("eval") / "results"
    return output, evaluate_models(EvalArguments(**settings, output=str(output)))


def test_model_base_and_human_stand_side_by_side(finished):
    output, results = finished
    assert json.loads((output / "results.json").read_text()) == results
    assert set(results["figures"]) == {"cornell", "personachat"}
    for figures in results["figures"].values():
        assert set(figures) == {"human", "model", "base"}
        assert figures["model"]["tokens"] == figures["base"]["tokens"] > 100
        assert figures["model"]["replies"] == figures["base"]["replies"]
        for role in ("model", "base"):
            # Random weights are about as surprised as a uniform guess over 404 tokens.
            assert 300 < figures[role]["perplexity"] < 550
            bits = math.log2(figures[role]["perplexity"]) * figures[role]["tokens"]
            assert figures[role]["bits_per_byte"] < bits / figures[role]["tokens"]
        assert figures["human"]["generated"] == figures["model"]["generated"] == 4
        assert 0 < figures["human"]["distinct_1"] <= 1
    assert results["same_reply_ids"] and results["settings"]["decoding"]["top_p"] == 0.9
    assert (output / "report.md").read_text() == render(results)


def test_every_reply_is_kept_with_its_context(finished):
    output, _ = finished
    replies = [json.loads(line) for line in (output / "replies.jsonl").read_text().splitlines()]
    assert len(replies) == 8
    for reply in replies:
        assert reply["context"][-1]["role"] == "user" and reply["human"]
        assert isinstance(reply["model"], str) and isinstance(reply["base"], str)


def test_the_same_arguments_give_the_same_results(finished, settings, tmp_path):
    again = evaluate_models(EvalArguments(**settings, output=str(tmp_path / "again")))
    assert again == finished[1]
    assert (tmp_path / "again" / "replies.jsonl").read_text() == (finished[0] / "replies.jsonl").read_text()


def test_a_model_may_stand_beside_itself(settings, model_folder, tmp_path):
    """The base is then prompted in plain text all the same: the format is part of the comparison."""
    arguments = EvalArguments(**settings | {"base": str(model_folder)}, output=str(tmp_path / "out"))
    results = evaluate_models(arguments)
    assert results["models"]["model"]["parameters"] == results["models"]["base"]["parameters"]
    assert results["models"]["base"]["format"] == "plain text"


def test_a_users_own_dialogues(settings, tmp_path):
    line = json.dumps({"turns": [{"role": "user", "text": "Hi!"}, {"role": "assistant", "text": "Hello."}]})
    (tmp_path / "mine.jsonl").write_text(line + "\n")
    own = settings | {"data": str(tmp_path / "mine.jsonl")}
    results = evaluate_models(EvalArguments(**own, output=str(tmp_path / "out")))
    assert results["figures"]["jsonl"]["model"]["replies"] == 1


def test_the_table_says_when_perplexities_do_not_compare(finished):
    _, results = finished
    assert "do not" not in render(results)
    assert "their perplexities do not" in render({**results, "same_reply_ids": False})


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"model": "nowhere/at/all"}, "--model nowhere/at/all: no such file or folder"),
        ({"model": "BASE"}, "was not trained in our chat format"),
        ({"base": "nowhere.json"}, "--base nowhere.json: no such file or folder"),
        ({"data": "nowhere"}, "--data nowhere: no such file"),
        ({"data": "EMPTY"}, "has no dialogue"),
        ({"data": "FOLDER"}, "has no `dialogues/val.jsonl`"),
    ],
)
def test_what_cannot_be_used_is_named(settings, wrong, problem, tmp_path, base_tokenizer_folder):
    (tmp_path / "empty.jsonl").write_text("")
    places = {"BASE": base_tokenizer_folder, "EMPTY": tmp_path / "empty.jsonl", "FOLDER": tmp_path}
    [(name, value)] = wrong.items()
    changed = settings | {name: str(places.get(value, value)), "output": str(tmp_path / "out")}
    with pytest.raises(UserError) as error:
        evaluate_models(EvalArguments(**changed))
    assert problem in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def command(module: str, *flags: str):
    return subprocess.run([sys.executable, "-m", module, *flags], cwd=ROOT, capture_output=True, text=True)


def test_the_command_reports_errors_in_one_line():
    result = command("eval.run")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "error: the following arguments are required: --model; see --help" in result.stderr


def test_the_report_command_prints_the_table_and_writes_the_page(finished):
    output, results = finished
    printed = command("eval.report", "--results", str(output)).stdout
    assert render(results) in printed and (output / "report.html").is_file()
