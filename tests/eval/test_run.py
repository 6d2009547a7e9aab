"""`python -m eval.run` from models on disk to its results, and its errors."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from chat.cli import UserError
from chat.decoding import DecodingSettings
from chat.hub.loading import load_causal_lm, load_tokenizer
from eval import run, source
from eval.card_data import corpus_and_split
from eval.card_rendering import _commands
from eval.contenders import load_contenders, tokenizer_sha256
from eval.report import render
from eval.run import EvalArguments, evaluate_models, main
from tests.conftest import ROOT, change_json, refused
from tests.processes import in_process, python, without_told_device


@pytest.fixture(scope="module")
def ranking_model(model_folder, tmp_path_factory):
    """A model that draws two replies and gives the better one."""
    folder = tmp_path_factory.mktemp("ranking") / "model"
    shutil.copytree(model_folder, folder)
    # Random weights never end a turn.
    change_json(folder / "generation_config.json", best_of=2, max_new_tokens=12)
    return folder


@pytest.fixture(scope="module")
def settings(ranking_model, tiny_config_file, prepared):
    return {
        "model": str(ranking_model),
        "base": str(tiny_config_file),
        "data": [str(prepared)],
        "max_dialogues": 5,
        "generated_replies": 4,
        "ranked_replies": 6,
        "timed_replies": 2,
    }


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory):
    output = tmp_path_factory.mktemp("eval") / "results"
    return output, evaluate_models(EvalArguments(**settings, output=str(output)))


def without_latency(results: dict) -> dict:
    figures = {
        source: {
            row: {name: group for name, group in groups.items() if name != "latency"}
            for row, groups in rows.items()
        }
        for source, rows in results["figures"].items()
    }
    return {**results, "figures": figures}


def test_model_base_and_human_stand_side_by_side(finished):
    output, results = finished
    assert json.loads((output / "results.json").read_text()) == results
    assert set(results["figures"]) == {"cornell", "personachat"}
    for rows in results["figures"].values():
        assert set(rows) == {"model", "base", "base_in_template", "human"}
        scored = {rows[row]["likelihood"]["tokens"]["value"] for row in rows if row != "human"}
        assert len(scored) == 1 and scored.pop() > 100
        for row in ("model", "base", "base_in_template"):
            perplexity, bits = (rows[row]["likelihood"][name] for name in ("perplexity", "bits_per_byte"))
            # Random weights are about as surprised as a uniform guess over 404 tokens.
            assert 300 < perplexity["low"] <= perplexity["value"] <= perplexity["high"] < 550
            assert 0 < bits["low"] <= bits["value"] <= bits["high"] < math.log2(perplexity["value"])
        assert rows["human"]["sampled"]["generated"]["value"] == 4
        assert 0 < rows["human"]["sampled"]["distinct_1"]["value"] <= 1
        assert rows["model"]["unranked"] != rows["model"]["sampled"]
        assert "token_f1" in rows["model"]["greedy"] and "token_f1" not in rows["human"]["sampled"]
        assert rows["model"]["latency"]["time_to_first_token_p50"]["value"] > 0
    assert "ranking" not in results["figures"]["cornell"]["model"]
    ranking = results["figures"]["personachat"]["model"]["ranking"]
    for by in ("", "_best_of_n"):
        hits, without = (
            ranking[f"{name}{by}"]["value"] for name in ("hits_at_1", "hits_at_1_without_persona")
        )
        assert ranking[f"persona_gain{by}"]["value"] == pytest.approx(hits - without)
    assert ranking["candidates"]["value"] > 4
    assert results["same_reply_ids"] and results["settings"]["decoding"]["top_p"] == 0.9
    assert (output / "report.md").read_text() == render(results)


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one_and_go_on_from_its_stages(finished, settings, tmp_path):
    """Killed when two stages are done, then to its end; on the CPU."""
    _, alone = finished
    output = tmp_path / "results"
    flags = {**settings, "data": settings["data"][0], "output": output}
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch", "--quiet", "--main_process_port", "0"),
        *("--config_file", "training/configs/accelerate/cpu_two_processes.yaml", "-m", "eval.run"),
        *(str(part) for name, value in flags.items() for part in (f"--{name}", value)),
    ]
    environment = without_told_device()
    stages = tmp_path / ".results.stages"
    with subprocess.Popen(command, cwd=ROOT, env=environment) as launcher:
        while len(list(stages.glob("*.json"))) < 2:
            assert launcher.poll() is None, "it ended"
            time.sleep(0.05)
        workers = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
        for pid in (launcher.pid, *map(int, workers)):
            os.kill(pid, signal.SIGKILL)
    assert len(workers) == 2 and not output.exists()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("going on with an earlier run: ") == 1
    assert done.stdout.count("saved to") == 1 and not stages.exists()
    together = json.loads((output / "results.json").read_text())
    assert without_latency(together)["figures"] == without_latency(alone)["figures"]


def test_no_figure_is_missing_or_not_a_number(finished):
    _, results = finished
    for rows in results["figures"].values():
        for groups in rows.values():
            for group in groups.values():
                assert all(math.isfinite(number) for figure in group.values() for number in figure.values())


def test_the_results_name_nobodys_disk(finished):
    _, results = finished
    text = json.dumps({name: value for name, value in results.items() if name != "models"})
    assert str(ROOT) not in text and "pytest" not in text


def test_every_reply_is_kept_with_its_context(finished):
    output, _ = finished
    replies = [json.loads(line) for line in (output / "replies.jsonl").read_text().splitlines()]
    assert len(replies) == 8
    for reply in replies:
        assert reply["context"][-1]["role"] == "user" and reply["human"]
        assert set(reply["model"]) == set(reply["base"]) == {"sampled", "unranked", "greedy"}


@pytest.mark.slow
def test_the_same_arguments_give_the_same_results(finished, settings, tmp_path):
    again = evaluate_models(EvalArguments(**settings, output=str(tmp_path / "again")))
    assert without_latency(again) == without_latency(finished[1])
    assert (tmp_path / "again" / "replies.jsonl").read_text() == (finished[0] / "replies.jsonl").read_text()


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_like_an_unbroken_one(finished, settings, tmp_path, monkeypatch):
    output = tmp_path / "out"
    with monkeypatch.context() as dying:
        dying.setattr(source, "time_replies", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            evaluate_models(EvalArguments(**settings, output=str(output)))
    assert not output.exists()
    with monkeypatch.context() as counting:
        scored = []
        score = source.score_views
        counting.setattr(source, "score_views", lambda *given: scored.append(given[-1]) or score(*given))
        results = evaluate_models(EvalArguments(**settings, output=str(output)))
    assert len(scored) == 5 and "cornell: model perplexity" not in scored
    assert without_latency(results) == without_latency(finished[1])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_model_may_stand_beside_itself(settings, model_folder, tmp_path):
    """The base is then prompted in plain text all the same: the format is part of the comparison."""
    few = {"max_dialogues": 1, "generated_replies": 1, "ranked_replies": 1, "timed_replies": 0}
    given = settings | few | {"base": str(model_folder)}
    arguments = EvalArguments(**given, output=str(tmp_path / "out"))
    results = evaluate_models(arguments)
    assert results["models"]["model"]["parameters"] == results["models"]["base"]["parameters"]
    assert results["models"]["base"]["format"] == "plain text"
    assert "The base is a chat model itself" in (tmp_path / "out" / "report.md").read_text()
    assert results["models"]["model"]["weights_sha256"] == results["models"]["base"]["weights_sha256"]


def test_a_users_own_dialogues(settings, tmp_path):
    line = json.dumps({"turns": [{"role": "user", "text": "Hi!"}, {"role": "assistant", "text": "Hello."}]})
    (tmp_path / "mine.jsonl").write_text(line + "\n")
    own = settings | {"data": [str(tmp_path / "mine.jsonl")]}
    results = evaluate_models(EvalArguments(**own, output=str(tmp_path / "out")))
    assert results["figures"]["jsonl"]["model"]["likelihood"]["replies"]["value"] == 1
    assert results["data"]["jsonl"]["replies"] == 1 and results["settings"]["splits"] == []
    assert results["settings"]["positions"] == results["models"]["model"]["positions"] == 256


def test_the_split_of_dialogues_in_a_file_is_told_where_they_tell_it(settings, tmp_path):
    """Else the command in the model's card would measure others."""
    turns = [{"role": "user", "text": "Hi!"}, {"role": "assistant", "text": "Hello."}]
    mine = tmp_path / "mine.jsonl"
    lines = [json.dumps({"turns": turns, **marked}) for marked in ({}, {"split": "train"}, {"split": "val"})]
    mine.write_text("\n".join(lines) + "\n")
    own = settings | {"data": [str(mine)], "splits": ["train"], "generated_replies": 0}
    results = evaluate_models(EvalArguments(**own, output=str(tmp_path / "out")))
    assert results["data"]["jsonl"]["replies"] == 2 and results["settings"]["splits"] == ["train"]
    assert corpus_and_split("jsonl", results) == ("jsonl", "train")
    assert "--splits train" in _commands(results, None, "mine", "model")["evaluate"]


def test_nothing_generated_is_no_figure_and_not_nought(settings, tmp_path):
    arguments = EvalArguments(
        **settings | {"generated_replies": 0, "ranked_replies": 2}, output=str(tmp_path / "out")
    )
    results = evaluate_models(arguments)
    for rows in results["figures"].values():
        assert {*rows["model"]} <= {"likelihood", "ranking"} and "human" not in rows
    assert "distinct" not in render(results) and not (tmp_path / "out" / "replies.jsonl").read_text()


def test_a_quick_run_takes_no_more_than_is_asked_for():
    none = EvalArguments(model="m", quick=True, generated_replies=0, timed_replies=0)
    few = EvalArguments(model="m", quick=True, generated_replies=3, ranked_replies=2, max_dialogues=1)
    names = ("max_dialogues", "generated_replies", "ranked_replies", "timed_replies")
    assert [none.limit(name) for name in names] == [60, 0, 60, 0]
    assert [few.limit(name) for name in names] == [1, 3, 2, 5]


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_not_all_random_streams_take_is_told_before_the_work(seed):
    with pytest.raises(UserError, match=f"^--seed {seed}: give 0 to 4294967295"):
        EvalArguments(model="m", seed=seed)


def test_what_a_models_own_configuration_says_of_repetition_does_not_hold(model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    change_json(folder / "generation_config.json", repetition_penalty=1.5, num_beams=4, top_k=7)
    contenders, decoding = load_contenders(str(folder), str(folder), 0)
    assert decoding.top_k == 7
    for contender in contenders[:2]:
        own = contender.model.generation_config
        assert own.repetition_penalty in (None, 1.0) and own.num_beams in (None, 1)


@pytest.fixture
def nothing_to_evaluate(monkeypatch):
    """Neither data nor models: what is done before and after the work."""
    mute = SimpleNamespace(positions=512, generates=False)
    monkeypatch.setattr(run, "read_views", lambda *_: {})
    monkeypatch.setattr(run, "load_contenders", lambda *_: ([mute], DecodingSettings()))
    monkeypatch.setattr(run, "same_reply_ids", lambda _: True)


@pytest.mark.parametrize("wrong", ["output", "training_log"])
def test_what_is_wrong_is_found_before_the_work(wrong, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "read_views", lambda *_: pytest.fail("it began"))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("years of work")
    given = {"output": str(tmp_path / "out"), wrong: str(tmp_path / "taken")}
    with pytest.raises(UserError, match=f"^--{wrong.replace('_', '-')} "):
        evaluate_models(EvalArguments(model="m", **given))


def test_what_was_computed_stays_till_the_results_are_written(nothing_to_evaluate, tmp_path, monkeypatch):
    """A full disk costs nothing but the last step."""
    arguments = EvalArguments(model="m", output=str(tmp_path / "out"))
    with monkeypatch.context() as full:
        full.setattr(run, "_write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            evaluate_models(arguments)
    assert (tmp_path / ".out.stages" / "settings").is_file()
    monkeypatch.setattr(run, "_write", lambda *_: None)
    evaluate_models(arguments)
    assert not (tmp_path / ".out.stages").exists()


@pytest.mark.parametrize("changes", [{"generated_replies": 7}, {"seed": 1}, {"quick": True}])
def test_an_evaluation_of_other_numbers_does_not_go_on_with_what_was_computed(
    nothing_to_evaluate, tmp_path, monkeypatch, changes
):
    begun = []
    monkeypatch.setattr(run, "_write", lambda *_: None)
    stages = run.Stages
    monkeypatch.setattr(
        run, "Stages", lambda output, settings: begun.append(json.dumps(settings)) or stages(output, settings)
    )
    for further in ({}, {}, changes):
        evaluate_models(EvalArguments(model="m", output=str(tmp_path / "out"), **further))
    assert begun[0] == begun[1] != begun[2]


@pytest.mark.parametrize("flag", ["--model", "--base"])
def test_a_model_whose_weights_are_no_numbers_is_refused(model_folder, tmp_path, flag):
    diverged = load_causal_lm(str(model_folder))
    diverged.transformer.h[1].mlp.c_fc.weight.data[3, 5] = math.nan if flag == "--model" else math.inf
    broken = shutil.copytree(model_folder, tmp_path / "broken")
    diverged.save_pretrained(broken)
    given = {"model": str(model_folder), "base": str(model_folder), flag.removeprefix("--"): str(broken)}
    with pytest.raises(
        UserError, match=rf"^{flag} .*broken: `transformer\.h\.1\.mlp\.c_fc\.weight` .*NaN or infinite"
    ):
        load_contenders(**given, seed=0)


def with_embeddings(folder: Path, number: int, place: Path) -> str:
    smaller = load_causal_lm(str(folder))
    smaller.resize_token_embeddings(number)
    smaller.save_pretrained(shutil.copytree(folder, place))
    return str(place)


@pytest.mark.parametrize(("flag", "number"), [("--model", 403), ("--base", 399)])
def test_a_tokenizer_of_more_ids_than_embeddings_is_refused(model_folder, tmp_path, flag, number):
    smaller = with_embeddings(model_folder, number, tmp_path / "smaller")
    given = {"model": str(model_folder), "base": str(model_folder), flag.removeprefix("--"): smaller}
    said = rf"^{flag} .*smaller: its tokenizer has ids up to {number}, and the model embeddings for {number}"
    with pytest.raises(UserError, match=said):
        load_contenders(**given, seed=0)


def test_tokens_that_were_added_to_a_base_and_have_no_embedding_do_no_harm(model_folder, tmp_path):
    """As several on the Hub have; no text has them in plain text."""
    smaller = with_embeddings(model_folder, 400, tmp_path / "smaller")
    contenders, _ = load_contenders(str(model_folder), smaller, 0)
    assert contenders[1].model.get_input_embeddings().num_embeddings == 400


def test_another_tokenizer_is_another_model(model_folder):
    """By which stages of a killed run are not mixed with those of the tokenizer that it had."""
    other = load_tokenizer(str(model_folder))
    assert tokenizer_sha256(other) == tokenizer_sha256(load_tokenizer(str(model_folder)))
    other.chat_template += " "
    assert tokenizer_sha256(other) != tokenizer_sha256(load_tokenizer(str(model_folder)))


def test_the_table_says_when_perplexities_do_not_compare(finished):
    _, results = finished
    assert "do not" not in render(results)
    assert "their perplexities do not" in render({**results, "same_reply_ids": False})


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"model": "nowhere/at/all"}, "--model nowhere/at/all: no such file or folder"),
        ({"model": "BASE"}, "was not trained in this project's chat format"),
        ({"base": "nowhere.json"}, "--base nowhere.json: no such file or folder"),
        ({"data": ["nowhere"]}, "--data nowhere: no such file"),
        ({"splits": ["test"]}, "--splits test: give val, train or both"),
        ({"splits": ["val", "train", "val"]}, "--splits val: comes twice; give it once"),
        ({"data": ["a.jsonl", "b.jsonl", "a.jsonl"]}, "--data a.jsonl: comes twice; give it once"),
        ({"share": ["cornell"]}, "--share cornell: give NAME=NUMBER"),
        ({"share": ["cornell=2"]}, "--share cornell=2.0: give at most 1"),
        ({"timed_replies": -1}, "--timed-replies -1: give 0 or more"),
    ],
)
def test_what_cannot_be_used_is_named(settings, wrong, problem, tmp_path, base_tokenizer_folder):
    [(name, value)] = wrong.items()
    if value == "BASE":
        value = str(base_tokenizer_folder)
    changed = settings | {name: value, "output": str(tmp_path / "out")}
    with refused(problem):
        evaluate_models(EvalArguments(**changed))
    assert not (tmp_path / "out").exists()


def test_a_model_is_not_replaced_by_its_results(settings, finished, model_folder, tmp_path):
    shutil.copytree(model_folder, tmp_path / "model")
    shutil.copyfile(finished[0] / "results.json", tmp_path / "model" / "results.json")
    with pytest.raises(
        UserError, match=r"--output .*model: would be replaced, and holds `chat_template.jinja`"
    ):
        evaluate_models(EvalArguments(**settings | {"output": str(tmp_path / "model")}))
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_the_command_reports_an_error_in_one_line(tmp_path):
    result = in_process(main, "--data", tmp_path)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "error: the following arguments are required: --model; see --help" in result.stderr


def test_the_report_command_prints_the_table_and_writes_the_page(finished):
    output, results = finished
    done = python("-m", "eval.report", "--results", output)
    assert render(results) in done.stdout and (output / "report.html").is_file()
