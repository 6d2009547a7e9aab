"""What is measured on a corpus: of which replies, after which prompts, with which limits."""

from types import SimpleNamespace

import pytest

from chat.decoding import DecodingSettings
from chat.dialogue import Dialogue, Turn
from eval import figures, source
from eval.figures import Context
from eval.source import SourceEvaluation

VIEW = Dialogue(
    "talks",
    (
        Turn("user", "Any pets?"),
        Turn("assistant", "Two cats.", distractors=("No.",)),
        Turn("user", "And a dog?"),
        Turn("assistant", "No dog.", distractors=("Yes.",)),
    ),
    ("I have two cats.",),
)


def contender(positions: int, vocab_size: int) -> SimpleNamespace:
    config = SimpleNamespace(max_position_embeddings=positions)
    format_ = SimpleNamespace(tokenizer=[""] * vocab_size)
    return SimpleNamespace(
        row="model",
        model=SimpleNamespace(config=config),
        positions=positions,
        format=format_,
        generates=True,
    )


def evaluation(*contenders: SimpleNamespace) -> SourceEvaluation:
    limits = {"generated_replies": 1, "ranked_replies": 0, "timed_replies": 0}
    return SourceEvaluation("talks", [VIEW], [*contenders], DecodingSettings(), limits, 0, None)


@pytest.mark.parametrize("places", [(0, 1), (1, 0)])
def test_all_contenders_are_measured_within_what_the_smallest_can_read(places, monkeypatch):
    """Nor do their figures depend on their order: what is expected of texts is of the largest vocabulary."""
    both = contender(512, 400), contender(1024, 300)
    found = evaluation(*(both[place] for place in places))
    assert found.lengths.positions == 512
    sizes = []
    monkeypatch.setattr(figures, "text_figures", lambda replies, before, size, are_human: sizes.append(size))
    found._text_figures(["Hi."], are_human=False)
    assert sizes == [400]


def test_replies_are_ranked_with_the_persona_without_it_and_after_nothing_at_all(monkeypatch):
    scored = []
    monkeypatch.setattr(
        source, "score_candidates", lambda model, format_, replies, *_: scored.append(replies)
    )
    monkeypatch.setattr(figures, "ranking", lambda *_: {})
    only = contender(512, 400)
    evaluation(only)._ranking(only)
    for with_persona, without, alone in zip(*scored, strict=True):
        view, index = with_persona
        assert view == VIEW and without == (Dialogue("talks", VIEW.turns), index)
        assert alone == (Dialogue("talks", (VIEW.turns[index],)), 0)
    assert [len(replies) for replies in scored] == [2, 2, 2]


def test_what_stands_before_a_reply_is_the_persona_and_what_both_said_and_its_own_turns_are_apart():
    context = Context.of(VIEW, 3)
    assert context.earlier == ["Two cats."] and context.human == "No dog."
    assert context.prompt == "I have two cats. Any pets? Two cats. And a dog?"


def test_replies_that_the_chat_would_redraw_are_counted():
    contexts = [Context.of(VIEW, 3)] * 4
    found = figures.text_figures(["No dog.", "Two cats.", "", "I like fish."], contexts, 400, are_human=True)
    usable = [contexts[0].checks.is_usable(reply) for reply in ("No dog.", "")]
    assert usable == [True, False] and 0.25 <= found["fallback"]["value"] <= 0.5


def test_the_interval_of_bits_per_byte_counts_bytes():
    """Two dialogues that are alike leave no doubt."""
    found = figures.likelihood([[[1.0, 2.0]], [[1.0, 2.0]]], [["\u00e9\u00e8!"], ["\u00e9\u00e8!"]], [0, 1])
    for name in ("perplexity", "bits_per_byte"):
        value = found[name]["value"]
        assert found[name] == pytest.approx({"value": value, "low": value, "high": value})
