"""`python -m eval.card`: what it writes, and its errors."""

import json
import shutil
import sys

import pytest
from huggingface_hub import ModelCard

from chat.cli import UserError
from eval import card
from eval.card import CardArguments
from tests.conftest import refused
from tests.eval.samples import sample_results, sparse_results, write_run


def run_card(monkeypatch, *flags: str) -> None:
    monkeypatch.setattr(sys, "argv", ["card", *flags])
    card.main()


def test_the_command_writes_the_folders_readme(trained_folder, prepared, tmp_path, monkeypatch, capsys):
    from chat.hub.loading import load_causal_lm
    from eval.contenders import weights_sha256

    results = sample_results()
    results["models"]["model"]["weights_sha256"] = weights_sha256(load_causal_lm(str(trained_folder)))
    run = write_run(tmp_path / "run", results)
    for _ in range(2):
        run_card(monkeypatch, "--model", str(trained_folder), "--results", str(run), "--data", str(prepared))
    assert capsys.readouterr().out.endswith(f"saved to {trained_folder / 'README.md'}\n")
    assert ModelCard.load(trained_folder / "README.md").data.model_name == "final_model"

    weights = results["models"]["model"].pop("weights_sha256")
    results["models"]["model"]["weights_sha256"] = "0" * 64
    write_run(run, results)
    with pytest.raises(UserError, match=r"of another model .* than --model .*; evaluate this one with"):
        run_card(monkeypatch, "--model", str(trained_folder), "--results", str(run))

    results["models"]["base"]["weights_sha256"] = weights
    write_run(run, results)
    run_card(monkeypatch, "--model", str(trained_folder), "--results", str(run))
    assert "It is the column `base`" in (trained_folder / "README.md").read_text(encoding="utf-8")


def test_a_dataset_that_the_model_was_not_trained_on_is_refused(
    model_folder, prepared, tmp_path, monkeypatch
):
    folder, run = tmp_path / "model", write_run(tmp_path / "run", sparse_results())
    shutil.copytree(model_folder, folder)
    flags = ("--model", str(folder), "--results", str(run), "--data", str(prepared))
    shutil.copyfile(prepared / "stats.json", folder / "stats.json")
    run_card(monkeypatch, *flags)
    written = (folder / "README.md").read_bytes()
    statistics = json.loads((folder / "stats.json").read_text())
    statistics["corpora"]["cornell"]["train"]["dialogues"] += 1
    (folder / "stats.json").write_text(json.dumps(statistics))
    with pytest.raises(UserError, match=r"^--data \S+: has other counts than the data that --model \S+ was"):
        run_card(monkeypatch, *flags)
    assert (folder / "README.md").read_bytes() == written


def test_the_command_reports_errors_in_one_line(trained_folder, model_folder, tmp_path, monkeypatch):
    run = str(write_run(tmp_path / "run", sparse_results()))
    (tmp_path / "README.md").write_text("# Mine\n")
    (tmp_path / "stats.json").write_text('{"corpora": {"cornell": {}}, "options": {"corpora": []}}')
    broken = tmp_path / "broken"
    shutil.copytree(model_folder, broken)
    (broken / "train_arguments.json").write_text("[1]")
    strange = [tmp_path / "strange arguments", tmp_path / "strange state"]
    for folder in strange:
        shutil.copytree(model_folder, folder)
    (strange[0] / "train_arguments.json").write_text('{"base": 5}')
    (strange[1] / "trainer_state.json").write_text('{"log_history": [{"eval_loss": "low"}]}')
    for flags, problem in (
        (("--model", "nowhere", "--results", run), "--model nowhere: no such folder"),
        (("--model", "~nobody such/m", "--results", run), "--model ~nobody such/m: no such folder"),
        (("--model", run, "--results", run), "holds no model"),
        (("--model", str(broken), "--results", run), "train_arguments.json: not an object"),
        (("--model", str(strange[0]), "--results", run), "train_arguments.json: not as training wrote it"),
        (("--model", str(strange[1]), "--results", run), "trainer_state.json: not as training wrote it"),
        (("--model", str(trained_folder), "--results", "nowhere"), "--results nowhere: No such file"),
        (
            ("--model", str(trained_folder), "--results", run, "--data", str(trained_folder)),
            "stats.json: No such file",
        ),
        (("--model", str(trained_folder), "--results", run, "--data", str(tmp_path)), "no statistics of"),
        (("--model", str(trained_folder), "--results", run, "--output", run), "is a folder; give a file"),
        (
            ("--model", str(trained_folder), "--results", run, "--output", str(tmp_path / "README.md")),
            "was not written by `python -m eval.card`; move it away",
        ),
        (
            ("--model", str(trained_folder), "--output", str(tmp_path / "no" / "R.md"), "--results", run),
            "--output",
        ),
        (("--model", str(trained_folder), "--license", "MIT License"), "--license MIT License: give"),
        (("--model", str(trained_folder), "--language", "English"), "--language English: give an ISO 639"),
        (("--model", str(trained_folder), "--model-id", "a/b/c"), "--model-id a/b/c: no Hub id"),
    ):
        with refused(problem):
            run_card(monkeypatch, *flags)


def test_the_defaults_are_those_of_the_evaluation():
    from eval.run import EvalArguments

    assert CardArguments(model="m").results == EvalArguments(model="m").output
