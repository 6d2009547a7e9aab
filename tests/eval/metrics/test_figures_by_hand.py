"""The metrics against figures worked out by hand, loaded offline by path as users load them."""

import logging
import math

import pytest

from eval.figures import metric


def compute(name: str, **given):
    return metric(name).compute(**given)


def test_perplexity_is_of_the_corpus_not_a_mean_over_replies():
    losses = [[math.log(2), math.log(8), math.log(4)], [math.log(16)]]
    figures = compute("reply_perplexity", predictions=losses, references=["abcde", "né"])
    assert figures["perplexity"] == pytest.approx(2 ** ((1 + 3 + 2 + 4) / 4))
    assert figures["bits_per_byte"] == pytest.approx(10 / 8)
    assert figures["tokens"] == 4


def test_a_sure_model_has_perplexity_one_and_a_uniform_one_its_vocabulary():
    sure = compute("reply_perplexity", predictions=[[0.0, 0.0]], references=["ab"])
    assert sure["perplexity"] == 1.0
    uniform = compute("reply_perplexity", predictions=[[math.log(50)] * 7], references=["abc"])
    assert uniform["perplexity"] == pytest.approx(50)
    assert compute("reply_perplexity", predictions=[[900.0]], references=["a"])["perplexity"] == math.inf


def test_distinct_n_counts_ngrams_over_all_words_and_over_ngrams():
    replies = ["I like tea .", "I like cats , don't you ?"]
    # 11 words, 9 different; of the 3 + 6 pairs one is there twice; of the 2 + 5 triples none.
    assert compute("distinct_n", predictions=replies) == {
        "distinct_1": 9 / 11,
        "distinct_1_over_ngrams": 9 / 11,
        "distinct_2": 8 / 11,
        "distinct_2_over_ngrams": 8 / 9,
        "distinct_3": 7 / 11,
        "distinct_3_over_ngrams": 1.0,
        "words": 11,
    }


def test_distinct_n_ignores_case_and_spacing_and_does_not_cross_replies():
    figures = compute("distinct_n", predictions=["Tea.", "tea ."], n_values=(1, 2))
    assert (figures["distinct_1"], figures["distinct_2"], figures["words"]) == (2 / 4, 1 / 4, 4)
    assert compute("distinct_n", predictions=["a", "b"], n_values=(2,))["distinct_2"] == 0.0


def test_expectation_adjusted_distinct_by_its_formula():
    """Three words, two different, from a vocabulary of four: 2 / (4 * (1 - (3/4)^3)). A mark is one."""
    figures = compute("expectation_adjusted_distinct", predictions=["a !", "A"], vocab_size=4)
    assert figures == {"ead_1": pytest.approx(2 / (4 * (1 - 0.75**3)))}


def test_expectation_adjusted_distinct_of_pairs_takes_those_that_there_are():
    """Of "a b a b" and "c" three pairs, two different."""
    figures = compute("expectation_adjusted_distinct", predictions=["a b a b", "c"], vocab_size=4, n=2)
    assert figures == {"ead_2": pytest.approx(2 / (4 * (1 - 0.75**3)))}


def test_expectation_adjusted_distinct_does_not_fall_with_the_amount_of_text():
    import random

    rng = random.Random(0)
    draws = [f"w{rng.randrange(1000)}" for _ in range(5000)]
    few, many = (
        compute("expectation_adjusted_distinct", predictions=draws[:n], vocab_size=1000)["ead_1"]
        for n in (200, 5000)
    )
    assert few == pytest.approx(1, abs=0.05) and many == pytest.approx(1, abs=0.05)


def test_entropy_of_even_and_uneven_ngrams():
    even = compute("entropy_n", predictions=["a b c d e f g"])
    assert even == {"entropy_4": pytest.approx(math.log(4))}
    assert compute("entropy_n", predictions=["a b c d", "A B c d"])["entropy_4"] == 0.0
    uneven = compute("entropy_n", predictions=["a", "a", "a", "!"], n=1)
    assert uneven["entropy_1"] == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))


def test_repetition_by_hand():
    figures = compute(
        "repetition",
        predictions=["no no no no no", "I like tea a lot.", "Fine!"],
        earlier=[[], ["Well, I like tea."], ["Oh.", "fine"]],
        prompts=["", "Do you know I like tea a bit?", "x"],
    )
    # Triples: 3 of one kind; 3, of which "i like tea" was said; none. The second: 2 fours, 1 in the prompt.
    assert figures["self_repetition"] == pytest.approx((2 / 3) / 3)
    assert figures["earlier_repetition"] == pytest.approx((1 / 3) / 3)
    assert figures["copied_share"] == pytest.approx((1 / 2) / 3)
    assert figures["repeated_replies"] == pytest.approx(1 / 3)


def test_repetition_looks_at_all_earlier_turns_and_counts_each_time():
    figures = compute(
        "repetition",
        predictions=["I like tea. I like tea. I do.", "Fine!", "?!"],
        earlier=[["I like tea.", "Yes."], ["Fine.", "Bye."], ["...", "No."]],
        prompts=["", "", ""],
    )
    # Of six triples two were said, in a turn before the last; a reply without words repeats none without.
    assert figures["earlier_repetition"] == pytest.approx((2 / 6) / 3)
    assert figures["repeated_replies"] == pytest.approx(1 / 3)


def test_reply_shape_by_hand():
    replies = ["Why?", 'He said "why?"', "...", "I don't know."]
    figures = compute("reply_shape", predictions=replies, fallback=[False, False, True, False])
    assert figures == {"mean_words": (2 + 6 + 3 + 4) / 4, "questions": 0.5, "empty": 0.25, "fallback": 0.25}


def test_hits_at_1_by_hand():
    scores = [[-1.0, -2.0, -3.0], [-2.0, -1.0, -3.0], [-1.0, -1.0, -5.0]]
    figures = compute("hits_at_1", predictions=scores, references=[0, 0, 0])
    assert figures["hits_at_1"] == pytest.approx(1 / 3), "a tie is no hit"
    assert figures["mean_reciprocal_rank"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert compute("hits_at_1", predictions=scores, references=[2, 1, 1])["hits_at_1"] == pytest.approx(1 / 3)
    assert figures["candidates"] == 3
    diverged = compute("hits_at_1", predictions=[[math.nan, math.nan]], references=[0])
    assert (diverged["hits_at_1"], diverged["mean_reciprocal_rank"]) == (0, 1 / 2), (
        "what is no number is no hit"
    )


def test_token_f1_by_hand():
    own = ["I like the cats!", "yes", "", "The"]
    human = ["i like a dog.", "no", "no", "the"]
    # "i like cats" and "i like dog" share two words of three: P = R = 2/3.
    assert compute("token_f1", predictions=own, references=human) == {"token_f1": pytest.approx((2 / 3) / 4)}
    assert compute("token_f1", predictions=["Yes - (I'm an owl)."], references=["yes, i'm the owl"]) == {
        "token_f1": 1.0
    }
    assert compute("token_f1", predictions=["a b b b"], references=["b b b c"])["token_f1"] == pytest.approx(
        2 * (3 / 3) * (3 / 4) / (3 / 3 + 3 / 4)
    )


def test_rouge_l_by_hand():
    """The longest common subsequence of "a cat sat here" and "the cat here" is "cat here": P 2/4, R 2/3."""
    figures = compute("rouge_l", predictions=["a cat sat here"], references=["the cat here"])
    assert figures["rouge_l"] == pytest.approx(2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3))


def test_rouge_l_does_not_stem():
    assert compute("rouge_l", predictions=["cats sat"], references=["cat sat"])["rouge_l"] == 1 / 2


def test_rouge_l_says_nothing_of_its_tokeniser(caplog):
    """In a terminal it would stand between the lines of progress."""
    caplog.set_level(logging.INFO, "absl")
    compute("rouge_l", predictions=["a"], references=["a"])
    assert not caplog.messages


def test_bleu_is_sacrebleus():
    import sacrebleu

    own = ["The cat sat on the mat today", "I have two dogs and a bird"]
    human = ["the cat sat on a mat", "I have two dogs"]
    expected = sacrebleu.BLEU().corpus_score(own, [human]).score
    assert compute("bleu", predictions=own, references=human)["bleu"] == pytest.approx(expected)
    assert expected > 20
    assert compute("bleu", predictions=human, references=human)["bleu"] == pytest.approx(100)


def test_persona_use_sees_a_telling_word_and_not_a_common_one():
    persona = ["I have two cats.", "I work as a nurse in Boston.", "I play the violin."]
    replies = ["I am a nurse at night, in Boston.", "I have to go to work.", "Two cats!", "Playing violins."]
    figures = compute("persona_use", predictions=[*replies, "Hi."], references=[persona] * 4 + [[]])
    assert figures["with_persona"] == 4
    assert figures["persona_use"] == 0.75
    assert compute("persona_use", predictions=persona, references=[persona] * 3)["persona_overlap"] == 1.0


def test_persona_use_by_its_formula():
    """Of two sentences "cat" is in both and weighs ln(3 / 3) + 1, "sing" in one, ln(3 / 2) + 1."""
    figures = compute(
        "persona_use", predictions=["Cats!", "No."], references=[["Cats sing."], ["Cats dance."]]
    )
    assert figures["persona_overlap"] == pytest.approx((1 / (1 + math.log(3 / 2) + 1)) / 2)
    one_of_three = compute("persona_use", predictions=["Cats!"], references=[["Cats sing songs."]])
    assert one_of_three["persona_use"] == 1


@pytest.mark.parametrize(
    ("fact", "reply"),
    [
        ("I own horses.", "A horse!"),
        ("I watch movies.", "That movie."),
        ("I danced.", "Dancing?"),
        ("I hated games.", "I hate that game."),
        ("I own a dress.", "Dresses!"),
    ],
)
def test_persona_use_sees_a_word_in_its_other_forms(fact, reply):
    assert compute("persona_use", predictions=[reply], references=[[fact]])["persona_use"] == 1


def test_latency_percentiles():
    figures = compute(
        "latency",
        predictions=[0.1, 0.2, 0.3, 0.4, 1.0],
        references=[[0.1, 0.1], [0.5, 0.5], [0.2], [], [0.05]],
    )
    assert figures["time_to_first_token_p50"] == pytest.approx(0.3)
    assert figures["time_to_first_token_p95"] == pytest.approx(0.4 + 0.8 * 0.6)
    # Speeds 2, 5, 10, 20: half of the replies reach 7.5, and 95 % of them 2 + 0.15 * 3.
    assert figures["tokens_per_second_p50"] == pytest.approx(7.5)
    assert figures["tokens_per_second_p95"] == pytest.approx(2.45)
    at_once = compute("latency", predictions=[0.1, 0.1], references=[[0.0], [0.5]])
    assert at_once["tokens_per_second_p50"] == 2, "a clock that did not tick tells no speed"


def test_a_conversation_loops_from_the_third_time_whoever_says_it():
    conversations = [
        ["Hi!", "Me too.", "me too", "ME TOO!", "Bye."],
        ["Me too.", "Me too.", "Me, two."],
        ["...", "?", "!"],
        [],
    ]
    assert compute("conversation_loops", predictions=conversations) == {"looping_conversations": 1 / 4}
    twice = compute("conversation_loops", predictions=conversations, times=2)
    assert twice == {"looping_conversations": 2 / 4}
    assert compute("conversation_loops", predictions=[]) == {"looping_conversations": 0.0}
