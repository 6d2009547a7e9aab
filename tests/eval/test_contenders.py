"""How many tokens the contenders are given."""

from types import SimpleNamespace

from chat.decoding import DecodingSettings
from eval.contenders import Lengths


def lengths(*positions: int, **decoding: int) -> Lengths:
    return Lengths.of([SimpleNamespace(positions=each) for each in positions], DecodingSettings(**decoding))


def test_all_are_given_what_fits_the_one_of_fewest_positions():
    assert lengths(1024, 512) == lengths(512, 512) == Lengths(512, 452, 60, 452, 60)
    assert lengths(1024) == Lengths(1024, 700, 60, 700, 324)


def test_how_long_the_model_replies_changes_nothing_of_its_ranking():
    short, long = lengths(256, max_new_tokens=12), lengths(256, max_new_tokens=120)
    assert (short.max_prompt_tokens, long.max_prompt_tokens) == (244, 136)
    for each in (short, long):
        assert (each.max_ranked_prompt_tokens, each.max_candidate_tokens) == (196, 60)
