"""The embedded model's experiments on the sample corpora: one change from a recipe each, none made twice."""

import json

import pytest
import yaml

from benchmarks import pocket_experiments
from benchmarks.pocket_experiments import ExperimentArguments, experiments, render, run_all
from chat.cli import UserError
from tests.conftest import SAMPLE_CORPORA

TOKENS = 4096


@pytest.fixture(scope="module")
def plain(tmp_path_factory, base_tokenizer_folder):
    from data_scripts.arguments import PrepareArguments
    from data_scripts.prepare import prepare

    output = tmp_path_factory.mktemp("experiments") / "plain"
    prepare(
        PrepareArguments(
            corpora=SAMPLE_CORPORA, output=str(output), tokenizer=str(base_tokenizer_folder), plain_text=True
        )
    )
    return str(output)


@pytest.fixture
def arguments(plain, prepared, tiny_config_file, tmp_path, monkeypatch):
    monkeypatch.setattr(
        pocket_experiments, "BASE_CHANGES", {"the recipe": ({}, {}), "one layer": ({"n_layer": 1}, {})}
    )
    monkeypatch.setattr(pocket_experiments, "CHAT_CHANGES", {"muon": {"optimizer": "muon"}})
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"base": str(tiny_config_file), "batching": "packed"}))
    return ExperimentArguments(
        plain=[plain, plain],
        chat=[str(prepared)],
        base_recipe=str(recipe),
        chat_recipe=str(recipe),
        tokens=TOKENS,
        dialogues=2,
        output=str(tmp_path / "results" / "experiments.json"),
    )


def test_each_is_one_change_away_from_its_recipe(arguments):
    found = [(each.stage, each.name) for each in experiments(arguments)]
    vocabulary = json.loads((pocket_experiments.Path(arguments.plain[0]) / "stats.json").read_text())
    assert found == [
        ("base", "the recipe"),
        ("base", "one layer"),
        ("base", f"vocabulary of {vocabulary['vocab_size']:,}"),
        ("chat", "muon"),
        ("chat", "from random weights"),
    ]


@pytest.mark.slow
def test_they_are_trained_on_as_many_tokens_scored_and_kept(arguments, monkeypatch):
    results = run_all(arguments)
    rows = {(row["stage"], row["name"]): row for row in results["experiments"]}
    assert len(rows) == 5
    for row in rows.values():
        assert 0.7 * TOKENS < row["tokens"] <= TOKENS
        assert all(2 < row["bits_per_byte"][source]["value"] < 8 for source in pocket_experiments.SCORED)
    assert rows["base", "one layer"]["parameters"] < rows["base", "the recipe"]["parameters"]
    assert "| base | one layer | 0.0M |" in render(results)

    monkeypatch.setattr(pocket_experiments, "conduct", None)
    assert run_all(arguments) == results


def test_figures_of_other_settings_are_not_mixed(arguments, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "experiments.json").write_text('{"settings": {}, "experiments": []}')
    with pytest.raises(UserError, match="has experiments of other settings; give another file"):
        run_all(arguments)
