"""`python -m eval.self_chat` with tiny models: who hears what, same seed same words, and its errors."""

import json
from pathlib import Path

import pytest

from chat.engine import load_engine
from chat.session import message_from
from chat.torch_engine import TorchEngine
from eval.personas import OWN_PERSONAS
from eval.self_chat import OPENERS, SelfChatArguments, load_engines, main, self_chat
from eval.transcripts import render_figures
from tests.conftest import ROOT, refused
from tests.processes import in_process, python
from tests.tiny_models import saved_gpt2

CATS = ("I have two cats.", "I nap.")
TEA = ("I drink tea.",)


@pytest.fixture(scope="module")
def models(tmp_path_factory, tokenizer):
    """Two models of different random weights, of which the second says less."""
    folder = tmp_path_factory.mktemp("models")
    return tuple(
        str(saved_gpt2(tokenizer, folder / name, seed=length, decoding={"max_new_tokens": length}))
        for name, length in (("one", 12), ("other", 8))
    )


@pytest.fixture(scope="module")
def settings(models, tmp_path_factory):
    personas = tmp_path_factory.mktemp("personas") / "two.txt"
    personas.write_text("\n".join([*CATS, "", *TEA]))
    return {"model": models[0], "personas": str(personas), "conversations": 2, "turns": 5, "seed": 3}


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory):
    output = tmp_path_factory.mktemp("self-chat") / "results"
    return output, self_chat(SelfChatArguments(**settings, output=str(output)))


@pytest.fixture
def heard(monkeypatch):
    """What each call of an engine gets: (the model's name, the prompt as text, the settings)."""
    calls = []
    draw = TorchEngine.draw

    def listen(engine, prompt, settings, seed):
        calls.append((engine.name, engine.tokenizer.decode(prompt), settings))
        return draw(engine, prompt, settings, seed)

    monkeypatch.setattr(TorchEngine, "draw", listen)
    return calls


def transcripts(output) -> list[dict]:
    return [json.loads(line) for line in (output / "transcripts.jsonl").read_text("utf-8").splitlines()]


def test_the_results_are_written_with_models_settings_and_figures(finished, models):
    output, results = finished
    assert json.loads((output / "self_chat.json").read_text()) == results
    assert {path.name for path in output.iterdir()} == {
        "self_chat.json",
        "transcripts.jsonl",
        "transcripts.md",
    }
    assert results["format_version"] == 1 and set(results["models"]) == {"model"}
    assert results["models"]["model"]["name"] == models[0]
    assert len(results["models"]["model"]["weights_sha256"]) == 64
    assert results["settings"]["personas"] == {"file": "two.txt", "different": 2}
    assert results["settings"]["decoding"]["model"]["top_p"] == 0.9
    assert set(results["figures"]) == {"all"} and results["figures"]["all"]["replies"]["value"] == 2 * 4
    assert "8 replies in 2 conversations of 5 turns." in render_figures(results)
    named = json.dumps({name: value for name, value in results.items() if name != "models"})
    assert str(ROOT) not in named and "pytest" not in named


def test_the_speakers_alternate_and_take_turns_in_opening(finished):
    output, _ = finished
    records = transcripts(output)
    assert [record["conversation"] for record in records] == [1, 2]
    assert ["".join(turn["speaker"] for turn in record["turns"]) for record in records] == ["ABABA", "BABAB"]
    for record in records:
        assert record["turns"][0]["text"] in OPENERS and all(turn["text"] for turn in record["turns"])
        assert {tuple(persona) for persona in record["personas"].values()} == {CATS, TEA}


def test_the_same_seed_gives_the_same_transcript(finished, settings, tmp_path):
    output, results = finished
    assert self_chat(SelfChatArguments(**settings, output=str(tmp_path / "again"))) == results
    for name in ("transcripts.jsonl", "transcripts.md", "self_chat.json"):
        assert (tmp_path / "again" / name).read_text("utf-8") == (output / name).read_text("utf-8")
    other = SelfChatArguments(**settings | {"seed": 4}, output=str(tmp_path / "other"))
    self_chat(other)
    assert transcripts(tmp_path / "other") != transcripts(output)


def test_more_conversations_leave_the_first_ones_as_they_are(finished, settings, tmp_path):
    fewer = SelfChatArguments(**settings | {"conversations": 1}, output=str(tmp_path / "one"))
    self_chat(fewer)
    assert transcripts(tmp_path / "one") == transcripts(finished[0])[:1]


def test_each_side_holds_its_own_persona_and_hears_the_other(heard, settings, models, tmp_path):
    """The opener is the first speaker's own earlier turn; what one says is the other's user message."""
    arguments = SelfChatArguments(
        **settings | {"conversations": 1, "turns": 4},
        other_model=models[1],
        opener=" Hi there! ",
        output=str(tmp_path / "out"),
    )
    results = self_chat(arguments)
    [record] = transcripts(tmp_path / "out")
    first, second, third, _ = (turn["text"] for turn in record["turns"])
    second_heard, third_heard = message_from(second), message_from(third)
    assert first == "Hi there!" and record["models"] == dict(zip("AB", models, strict=True))
    persona = {speaker: " ".join(sentences) for speaker, sentences in record["personas"].items()}
    end = "<|endoftext|>"
    to_b = f"<|persona|>{persona['B']}{end}<|user|>Hi there!{end}<|assistant|>"
    opened = f"<|persona|>{persona['A']}{end}<|assistant|>Hi there!{end}"
    to_a = f"{opened}<|user|>{second_heard}{end}<|assistant|>"
    to_b_again = f"{to_b}{second}{end}<|user|>{third_heard}{end}<|assistant|>"
    # A reply may have been drawn more than once.
    assert list(dict.fromkeys((name, prompt) for name, prompt, _ in heard)) == [
        (models[1], to_b),
        (models[0], to_a),
        (models[1], to_b_again),
    ]
    longest = {(name, drawn.max_new_tokens) for name, _, drawn in heard}
    assert longest == {(models[0], 12), (models[1], 8)}
    assert set(results["models"]) == {"model", "other_model"}
    assert set(results["figures"]) == {"all", "model", "other_model"}


def test_one_model_is_loaded_once_and_every_reply_has_a_seed_of_its_own(
    heard, monkeypatch, settings, tmp_path
):
    loaded = []
    monkeypatch.setattr(
        "eval.self_chat.load_engine", lambda name, **given: loaded.append(name) or load_engine(name, **given)
    )
    arguments = SelfChatArguments(
        **settings, other_model=settings["model"], opener="Hi!", output=str(tmp_path / "out")
    )
    assert set(self_chat(arguments)["models"]) == {"model"} and loaded == [settings["model"]]
    assert len({drawn.seed for *_, drawn in heard}) == 2 * 4


def test_both_say_what_the_models_say(models):
    assert [engine.guard for engine in load_engines(*models)] == [None, None]


def test_an_earlier_run_is_replaced(finished, settings, tmp_path):
    output = tmp_path / "out"
    self_chat(SelfChatArguments(**settings | {"turns": 2}, output=str(output)))
    self_chat(SelfChatArguments(**settings, output=str(output)))
    assert transcripts(output) == transcripts(finished[0])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_command_prints_the_table(settings, tmp_path):
    output = tmp_path / "out"
    flags = ["--model", settings["model"], "--conversations", 1, "--turns", 3, "--output", output]
    printed = in_process(main, *flags).stdout
    results = json.loads((output / "self_chat.json").read_text())
    assert render_figures(results) in printed and f"saved to {output}" in printed
    assert results["settings"]["personas"] == {"file": OWN_PERSONAS.name, "different": 20}


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"turns": 1}, "--turns 1: give 2 or more"),
        ({"conversations": 0}, "--conversations 0: give 1 or more"),
        ({"opener": " "}, "--opener: is empty"),
        ({"opener": "x" * 2001}, "--opener: 2001 characters; give at most 2000"),
        ({"opener": "Hi \udce9"}, "--opener: is not UTF-8 text"),
        ({"personas": "nowhere.jsonl"}, "--personas nowhere.jsonl: No such file"),
        ({"model": "nowhere/at/all"}, "--model nowhere/at/all: no such file or folder"),
        ({"other_model": "nowhere/at/all"}, "--other-model nowhere/at/all: no such file or folder"),
        ({"other_model": "BASE"}, "was not trained in this project's chat format"),
        ({"output": "TAKEN"}, "already holds something else (no `self_chat.json` of ours)"),
    ],
)
def test_what_cannot_be_used_is_named(
    settings, wrong, problem, tmp_path, tmp_path_factory, base_tokenizer_folder
):
    [(name, value)] = wrong.items()
    if value == "BASE":
        value = str(base_tokenizer_folder)
    if value == "TAKEN":
        value = str(tmp_path_factory.mktemp("taken"))
        Path(value, "mine.txt").touch()
    with refused(problem):
        self_chat(SelfChatArguments(**settings | {"output": str(tmp_path / "out"), name: value}))
    assert not list(tmp_path.iterdir())


def test_the_command_reports_an_error_in_one_line():
    result = python("-m", "eval.self_chat", "--model", "final_model", "--turns", "one")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "error: argument --turns: invalid int value: 'one'; see --help" in result.stderr
