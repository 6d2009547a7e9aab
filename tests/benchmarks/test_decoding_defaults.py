"""The decoding benchmark on the sample corpora: one row a setting, flawed replies are counted."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import decoding_defaults
from benchmarks.decoding_defaults import Contexts, DecodingArguments, render
from chat.cli import UserError


@pytest.fixture
def arguments(model_folder, prepared, tmp_path):
    return DecodingArguments(
        model=str(model_folder),
        data=str(prepared),
        settings=["0.5,0.9,50,1,0,0", "1.0,0.9,0,3,0.5,0.1"],
        replies=6,
        output=str(tmp_path / "new" / "decoding.json"),
    )


def test_every_setting_has_its_figures_beside_the_human_ones(arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["decoding_defaults"])
    monkeypatch.setattr(decoding_defaults, "parse_arguments", lambda *_, **__: arguments)
    decoding_defaults.main()
    results = json.loads(Path(arguments.output).read_text(encoding="utf-8"))
    assert [row["best_of"] for row in results["settings"]] == [1, 3] and results["replies"] == 6
    assert set(decoding_defaults.SHOWN) <= set(results["settings"][0])
    assert results["human"]["flawed"] == 0 and results["human"]["distinct_2"] > 0.8
    assert len(render(results).splitlines()) == 5


def test_flawed_replies_are_counted(arguments, tokenizer):
    contexts = Contexts(arguments, tokenizer, positions=256)
    good = [each.human for each in contexts.contexts]
    context = next(number for number, each in enumerate(contexts.contexts) if each.earlier)
    for flaw in ("", "no no no no no no no no", "word " * 60, contexts.contexts[context].earlier[0]):
        replies = list(good)
        replies[context] = flaw
        assert contexts.figures(replies, are_human=False)["flawed"] == pytest.approx(1 / 6), flaw
    assert contexts.figures(good, are_human=False)["flawed"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        "0.7",
        "0.7,0.9,50,many,0,0",
        "9,0.9,50,1,0,0",
        "0.7,0.9,50,99,0,0",
        "0.7,0.9,50,8,0.5",
        "0.7,0.9,50,8,9,0",
        "0.7,0.9,50,8,0.5,9",
        "0.7,0.9,50,8,0.5,0,0",
    ],
)
def test_settings_that_the_chat_would_not_take_are_refused(arguments, wrong):
    with pytest.raises(
        UserError, match=f"--settings {wrong}: give temperature,top-p,top-k,best-of,lambda,length-cost"
    ):
        DecodingArguments(model=arguments.model, settings=[wrong])


def test_data_without_personachat_is_refused(arguments, tmp_path):
    (tmp_path / "dialogues").mkdir()
    line = {
        "source": "cornell",
        "turns": [{"role": "user", "text": "Hi!"}, {"role": "assistant", "text": "Yes."}],
    }
    (tmp_path / "dialogues" / "val.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(UserError, match="has no personachat; prepare it with that corpus"):
        Contexts(DecodingArguments(model=arguments.model, data=str(tmp_path)), None, positions=256)
