"""The figures of conversations against ones worked out by hand, and how they are written."""

import math

import pytest

from chat.engine import FALLBACK_REPLY
from eval.transcripts import Conversation, figures_by_row, render_figures, render_transcripts

PERSONAS = {"A": ("I have two cats.",), "B": ("I drink black tea.",)}


def conversation(number: int, *texts: str) -> Conversation:
    turns = tuple(zip("AB" * len(texts), texts, strict=False))
    return Conversation(number, 7, {"A": "one", "B": "another"}, PERSONAS, turns)


LOOPING = conversation(
    1, "Hi!", "I like my tea black.", "I like my tea black.", "i like my tea black!", "Why?"
)
PLAIN = conversation(2, "Hi!", FALLBACK_REPLY, "Hi!")


def values(figures: dict) -> dict:
    return {name: entry["value"] for name, entry in figures.items()}


def test_the_figures_are_those_worked_out_by_hand():
    rows = figures_by_row([LOOPING], are_two_models=False)
    assert set(rows) == {"all"}
    figures = values(rows["all"])
    # The opener is no reply, though the speaker's own earlier turn. Words and marks: 6 + 6 + 6 + 2.
    assert figures["replies"] == 4 and figures["mean_words"] == 5 and figures["questions"] == 1 / 4
    assert figures["distinct_1"] == 9 / 20 and figures["distinct_2"] == 7 / 20
    shares = (3 / 9, 3 / 9, 2 / 9, 1 / 9)
    assert figures["entropy_4"] == pytest.approx(-sum(share * math.log(share) for share in shares))
    # A says what B said before, then B says it again; only B repeats itself.
    assert figures["copied_from_partner"] == 2 / 4
    assert figures["earlier_repetition"] == figures["repeated_replies"] == 1 / 4
    assert figures["self_repetition"] == figures["empty"] == figures["fallback"] == 0
    # B says two of the three content words of its persona, twice; A none of its own.
    assert figures["persona_use"] == 2 / 4 and figures["persona_overlap"] == pytest.approx((2 / 3) * 2 / 4)
    assert figures["looping_conversations"] == 1


def test_a_speakers_own_words_are_not_copied_from_the_partner():
    rows = figures_by_row(
        [conversation(3, "Hi!", "I drink a lot of tea.", "Why?", "I drink a lot of tea.")], False
    )
    assert values(rows["all"])["copied_from_partner"] == 0 < values(rows["all"])["earlier_repetition"]


def test_two_models_have_a_row_each():
    rows = figures_by_row([LOOPING, PLAIN], are_two_models=True)
    everyone, model, other = (values(rows[row]) for row in ("all", "model", "other_model"))
    assert (everyone["replies"], model["replies"], other["replies"]) == (6, 3, 3)
    assert everyone["looping_conversations"] == 1 / 2 and "looping_conversations" not in model
    assert (model["fallback"], other["fallback"]) == (0, 1 / 3)
    # A's second "Hi!" repeats the opener.
    assert (model["repeated_replies"], other["repeated_replies"]) == (1 / 3, 1 / 3)
    assert (model["persona_use"], other["persona_use"]) == (0, 2 / 3)


def test_a_model_that_wrote_nothing_has_no_row():
    assert set(figures_by_row([conversation(1, "Hi!", "Hello.")], are_two_models=True)) == {
        "all",
        "other_model",
    }


def test_a_loop_is_flagged_and_two_times_are_none():
    assert LOOPING.is_looping() and LOOPING.to_json()["looping"] and not PLAIN.is_looping()
    assert not conversation(1, "...", "?", "!", "...").is_looping()


def test_the_table_names_every_figure():
    results = {
        "models": {
            "model": {"name": "one", "parameters": 7},
            "other_model": {"name": "two", "parameters": 8},
        },
        "settings": {"conversations": 2, "turns": 5},
        "figures": figures_by_row([LOOPING, PLAIN], are_two_models=True),
    }
    table = render_figures(results)
    assert "Model: `one` (7 parameters). Other model: `two` (8 parameters)." in table
    assert "| | all replies | model | other model |" in table
    assert "| conversations that fell into a loop ↓ | 0.500 |  |  |" in table
    assert "| copied from the partner ↓ | 0.333 | 0.333 | 0.333 |" in table
    assert "6 replies in 2 conversations of 5 turns." in table


def test_a_transcript_is_plain_text_to_markdown():
    text = render_transcripts([LOOPING, conversation(2, "Hi!", "<b>*no*</b>\n\n# not a `heading`")])
    assert "## Conversation 1 (fell into a loop)\n" in text and "## Conversation 2\n" in text
    assert "- B is `another`: I drink black tea." in text
    assert "**B:** &lt;b&gt;\\*no\\*&lt;/b&gt; \\# not a \\`heading\\`\n" in text
