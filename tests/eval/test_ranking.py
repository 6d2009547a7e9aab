"""Candidates scored beside each other are as alone."""

import pytest
import torch

from chat import jsonl
from chat.dialogue import Dialogue, Turn
from eval import figures
from eval.formats import PlainFormat, TemplateFormat, prompt_ids
from eval.ranking import rankable, score_candidates
from tests.tiny_models import tiny_model


@pytest.fixture(scope="module")
def replies(prepared):
    """Replies of the prepared PersonaChat, with its candidates."""
    dialogues = [each for each in jsonl.read(prepared / "dialogues" / "val.jsonl") if each.persona]
    return rankable(dialogues)[:12]


def naive(model, prompt: list[int], candidate: list[int]) -> float:
    with torch.inference_mode():
        logits = model(torch.tensor([prompt + candidate])).logits[0].double()
    log_probabilities = torch.log_softmax(logits, dim=-1)
    nats = [log_probabilities[len(prompt) - 1 + i, id_].item() for i, id_ in enumerate(candidate)]
    return sum(nats) / len(nats)


def check_scores(model, tokenizer, format_, replies, positions: int) -> None:
    """The scores of all candidates are those of the naive loop."""
    scores = score_candidates(model, format_, replies, 160, positions - 160)
    for (view, index), found in zip(replies, scores, strict=True):
        turn, prompt = view.turns[index], prompt_ids(view, index, format_, 160)
        for text, score in zip([turn.text, *turn.distractors], found, strict=True):
            ids = tokenizer(text, split_special_tokens=True)["input_ids"][: positions - 160]
            assert score == pytest.approx(naive(model, prompt, ids), abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "changes"), [("gpt_neo", {"window_size": 64}), ("openai-gpt", {}), ("llama", {})]
)
def test_scores_are_those_of_a_naive_loop_whatever_the_model(tokenizer, replies, caplog, kind, changes):
    other = tiny_model(kind, len(tokenizer), **changes)
    caplog.set_level("INFO")
    for _ in range(2):
        check_scores(other, tokenizer, TemplateFormat(tokenizer), replies[:1], 512)
    told = [message for message in caplog.messages if "one by one, which takes longer" in message]
    assert len(told) == (kind != "llama")


@pytest.mark.parametrize("format_class", [TemplateFormat, PlainFormat])
def test_scores_are_those_of_a_naive_loop(model, tokenizer, replies, format_class):
    assert len(replies) == 12 and all(len(view.turns[index].distractors) > 3 for view, index in replies)
    check_scores(model, tokenizer, format_class(tokenizer), replies, 256)


def test_a_candidate_without_tokens_is_scored_as_the_end(model, tokenizer):
    view = Dialogue("x", (Turn("user", "Hi."), Turn("assistant", "Yes.", distractors=("", "No."))))
    [scores] = score_candidates(model, TemplateFormat(tokenizer), [(view, 1)], 64, 64)
    assert len(scores) == 3 and all(score < 0 for score in scores)


def test_a_candidate_without_tokens_is_scored_as_the_lines_end_where_a_base_has_no_other(
    model, endless_tokenizer
):
    view = Dialogue("x", (Turn("user", "Hi."), Turn("assistant", "Yes.", distractors=("",))))
    format_ = PlainFormat(endless_tokenizer)
    [[_, empty]] = score_candidates(model, format_, [(view, 1)], 64, 64)
    end = endless_tokenizer("\n")["input_ids"]
    assert empty == pytest.approx(naive(model, prompt_ids(view, 1, format_, 64), end), abs=1e-5)


def test_only_replies_with_distractors_are_ranked(prepared):
    dialogues = list(jsonl.read(prepared / "dialogues" / "val.jsonl"))
    sources = {view.source for view, _ in rankable(dialogues)}
    assert sources == {"personachat"}
    train = list(jsonl.read(prepared / "dialogues" / "train.jsonl"))
    assert not rankable(train)


def test_ranked_as_best_of_n_what_would_do_anywhere_loses():
    found = figures.ranking(
        with_persona=[[-1.0, -0.5]], without=[[-3.0, -0.5]], generic=[[-3.0, -0.1]], dialogues=[0]
    )
    assert found["hits_at_1"]["value"] == found["persona_gain"]["value"] == 0.0
    assert found["hits_at_1_best_of_n"]["value"] == found["persona_gain_best_of_n"]["value"] == 1.0
    assert found["hits_at_1_without_persona_best_of_n"]["value"] == 0.0


def test_a_candidate_that_is_as_likely_as_the_true_one_is_no_hit():
    """Else a model that says of everything the same would be right each time."""
    found = figures.ranking([[-1.0, -1.0, -2.0]], None, [[-1.0, -1.0, -2.0]], dialogues=[0])
    assert found["hits_at_1"]["value"] == found["hits_at_1_best_of_n"]["value"] == 0.0


def test_with_the_persona_and_without_it_replies_are_ranked_by_one_rule():
    scores = [[-1.0, -0.5]]
    found = figures.ranking(with_persona=scores, without=scores, generic=[[-3.0, -0.1]], dialogues=[0])
    assert found["hits_at_1_without_persona_best_of_n"]["value"] == 1.0
    assert found["persona_gain"]["value"] == found["persona_gain_best_of_n"]["value"] == 0.0


def test_where_no_persona_is_left_out_nothing_is_said_of_its_gain():
    found = figures.ranking([[-1.0, -2.0]], None, [[-3.0, -0.1]], dialogues=[0])
    assert {name for name in found if name.startswith("hits")} == {"hits_at_1", "hits_at_1_best_of_n"}
    assert not [name for name in found if "persona" in name]


def test_what_is_not_measured_is_not_computed(model, tokenizer, replies, tmp_path):
    from dataclasses import replace

    from chat.decoding import DecodingSettings
    from eval.contenders import Contender
    from eval.source import SourceEvaluation
    from eval.stages import Stages

    def ranked(views: list[Dialogue], name: str) -> set[str]:
        contender = Contender("model", "tiny", model, TemplateFormat(tokenizer))
        limits = {"generated_replies": 0, "ranked_replies": 1, "timed_replies": 0}
        stages = Stages(tmp_path / name, {})
        of_source = SourceEvaluation(name, views, [contender], DecodingSettings(), limits, 0, stages)
        return set(of_source.by_row()["model"]["ranking"])

    views = [view for view, _ in replies[:1]]
    without = ranked([replace(view, persona=()) for view in views], "without")
    gain = {"persona_gain", "hits_at_1_without_persona"}
    assert ranked(views, "with") - without == gain | {f"{name}_best_of_n" for name in gain}
