"""Deliberately bad models come out worse on the figures that exist to show it."""

import dataclasses
import json

import pytest

from eval.run import EvalArguments, evaluate_models

PHRASE = "I don't know."


@pytest.fixture(scope="module")
def models(tmp_path_factory, prepared, base_tokenizer_folder, tiny_config_file):
    """Three tiny models: trained on the sample, on one phrase, and not at all."""
    from chat import jsonl
    from data_scripts.arguments import PrepareArguments
    from data_scripts.prepare import prepare
    from training.arguments import TrainArguments
    from training.train import train

    folder = tmp_path_factory.mktemp("models")
    records = []
    for split in ("train", "val"):
        for dialogue in jsonl.read(prepared / "dialogues" / f"{split}.jsonl"):
            turns = tuple(
                dataclasses.replace(turn, text=PHRASE) if turn.role == "assistant" else turn
                for turn in dialogue.turns
            )
            changed = dataclasses.replace(dialogue, turns=turns, persona=dialogue.persona or ("I am here.",))
            records.append(json.dumps({**changed.to_json(), "split": split}))
    (folder / "phrase.jsonl").write_text("\n".join(records))
    prepare(
        PrepareArguments(
            corpora=[f"jsonl={folder / 'phrase.jsonl'}"],
            tokenizer=str(base_tokenizer_folder),
            output=str(folder / "phrase-data"),
        )
    )
    for name, data, steps in (
        ("good", prepared, 250),
        ("phrase", folder / "phrase-data", 150),
        ("random", prepared, 1),
    ):
        train(
            TrainArguments(
                data=str(data),
                base=str(tiny_config_file),
                output_dir=str(folder / f"run-{name}"),
                final_model_dir=str(folder / name),
                max_steps=steps,
                learning_rate=1e-9 if name == "random" else 1e-2,
                lr_scheduler_type="cosine",
                batching="packed",
                eval_every_steps=50,
                save_every_steps=500,
                log_every_steps=50,
                tensorboard=False,
            )
        )
    return folder


@pytest.fixture(scope="module")
def value(models, prepared, tiny_config_file):
    """A function: a figure of one of the models."""

    def evaluate(name: str) -> dict:
        results = evaluate_models(
            EvalArguments(
                model=str(models / name),
                base=str(tiny_config_file),
                data=[str(prepared)],
                generated_replies=40,
                ranked_replies=40,
                timed_replies=0,
                output=str(models / f"eval-{name}"),
            )
        )
        return results["figures"]["personachat"]["model"]

    figures = {name: evaluate(name) for name in ("good", "phrase", "random")}
    return lambda model, group, name: figures[model][group][name]["value"]


@pytest.mark.slow
def test_random_weights_are_more_surprised_and_less_like_people(value):
    assert value("random", "likelihood", "perplexity") > 2 * value("good", "likelihood", "perplexity")
    assert value("random", "likelihood", "bits_per_byte") > value("good", "likelihood", "bits_per_byte")
    assert value("random", "sampled", "token_f1") < value("good", "sampled", "token_f1")


@pytest.mark.slow
def test_a_model_of_one_phrase_is_told_by_variety_and_repetition(value):
    assert value("phrase", "greedy", "mean_words") == 4
    for name in ("distinct_1", "distinct_2", "entropy_4", "ead_1"):
        assert value("phrase", "sampled", name) < value("good", "sampled", name), name
    assert value("phrase", "likelihood", "perplexity") > value("good", "likelihood", "perplexity")
    assert value("phrase", "sampled", "persona_use") <= value("good", "sampled", "persona_use")


def test_a_phrase_said_before_is_repetition():
    from chat.reply_checks import ReplyChecks
    from eval.figures import Context, text_figures

    contexts = [
        Context((), [PHRASE] * turn, ReplyChecks((PHRASE,) * turn, ()), PHRASE, "Maybe.") for turn in range(4)
    ]
    bad = text_figures([PHRASE] * 4, contexts, 404, are_human=False)
    good = text_figures(["Yes.", "No way!", "Perhaps so.", "Why not?"], contexts, 404, are_human=False)
    assert bad["repeated_replies"]["value"] == 0.75 and good["repeated_replies"]["value"] == 0
    assert bad["fallback"]["value"] == 0.75 and good["fallback"]["value"] == 0
    assert bad["earlier_repetition"]["value"] > good["earlier_repetition"]["value"]
    assert bad["distinct_1"]["value"] < good["distinct_1"]["value"]
