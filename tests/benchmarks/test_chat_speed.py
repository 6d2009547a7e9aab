"""The speed benchmark: its prompts, its figures, its tables; slow: all contenders on tiny models."""

import json

import pytest

from benchmarks.chat_contenders import Drawn, timed
from benchmarks.chat_report import OURS, TARGETS, render
from benchmarks.chat_speed import EARLY_TURN, PROMPT_TOKENS, TURN_TOKENS, Prompts, _speeds
from chat.hub.loading import load_tokenizer
from tests.conftest import ROOT
from tests.processes import python

RESULTS = json.loads((ROOT / "benchmarks" / "results" / "chat_speed.json").read_text(encoding="utf-8"))


def test_prompts_have_the_tokens_that_the_table_names():
    prompts = Prompts(load_tokenizer(str(ROOT / "models" / "pocket")), positions=1024, new_tokens=60, seed=0)
    assert prompts.one() != prompts.one() and len(prompts.words) > 100
    assert len(prompts.one()) == pytest.approx(PROMPT_TOKENS, abs=3)
    lengths = [*map(len, prompts.conversation())]
    assert lengths[EARLY_TURN - 1] - lengths[0] == pytest.approx(TURN_TOKENS, abs=3)
    assert max(lengths) <= prompts.max_tokens < 1024


def test_speeds_by_hand():
    many = [Drawn(first, 2.0, 10) for first in (0.1, 0.2)]
    rounds = [{"one": Drawn(0.5, seconds, 10), "many": many} for seconds in (1.0, 2.0, 5.0)]
    found = _speeds(rounds)
    assert found["tokens_per_second"] == 5 and found["users_tokens_per_second"] == 10
    assert found["users_against_one"] == 2 and found["users_first_token_seconds_p95"] == pytest.approx(0.2)
    assert "users_against_one" not in _speeds([{**each, "many": None} for each in rounds])


def test_draws_are_timed_from_the_question_on():
    drawn = timed(iter([5, 6, 7]))
    assert drawn.tokens == 3 and 0 <= drawn.first_token_seconds <= drawn.seconds


def test_the_committed_results_have_every_figure():
    for model in RESULTS["models"].values():
        assert all(isinstance(target.is_met(model), bool) for target in TARGETS)
        assert set(model["perplexity_change"]) == {OURS, "ONNX Runtime int8"}
    assert render(RESULTS).count("| at ") == 2 * len(TARGETS)


@pytest.mark.slow
def test_the_benchmark_runs_on_tiny_models(model_folder, base_tokenizer_folder, tiny_config_file, tmp_path):
    flags = {
        "--model": model_folder,
        "--random-config": tiny_config_file,
        "--tokenizer": base_tokenizer_folder,
        "--new-tokens": 4,
        "--rounds": 2,
        "--output": tmp_path / "speed.json",
    }
    given = (each for flag in flags.items() for each in flag)
    done = python("-m", "benchmarks.chat_speed", *given, timeout=900)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert json.loads(done.stdout.splitlines()[-1]) == found
    assert done.stdout.startswith(render(found))
    assert all(each["tokens_per_second"] > 0 for each in found["models"]["random"]["contenders"].values())
