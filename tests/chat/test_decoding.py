"""Decoding settings: limits, and their way through `generation_config.json`."""

import math

import pytest
from transformers import GenerationConfig

from chat.decoding import DecodingSettings


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"temperature": 0.0}, {"temperature": 0.1}),
        ({"temperature": 9}, {"temperature": 1.5}),
        ({"temperature": math.nan}, {"temperature": DecodingSettings.temperature}),
        ({"top_p": -1}, {"top_p": 0.05}),
        ({"top_p": 2}, {"top_p": 1.0}),
        ({"top_k": -5}, {"top_k": 0}),
        ({"top_k": 1e9}, {"top_k": 200}),
        ({"max_new_tokens": 0}, {"max_new_tokens": 1}),
        ({"max_new_tokens": math.inf}, {"max_new_tokens": 200}),
        ({"min_new_tokens": 90, "max_new_tokens": 7}, {"min_new_tokens": 7}),
        ({"min_new_tokens": -1}, {"min_new_tokens": 0}),
        ({"frequency_penalty": -1}, {"frequency_penalty": 0.0}),
        ({"frequency_penalty": 9}, {"frequency_penalty": 2.0}),
        ({"seed": -1}, {"seed": 0}),
        ({"seed": 2**40}, {"seed": 2**32 - 1}),
        ({"best_of": 0}, {"best_of": 1}),
        ({"best_of": 1000}, {"best_of": 16}),
        ({"max_new_tokens": None}, {"max_new_tokens": DecodingSettings.max_new_tokens}),
    ],
)
def test_settings_are_clamped(given, expected):
    changed = DecodingSettings().changed(**given)
    assert {name: getattr(changed, name) for name in expected} == expected


@pytest.mark.parametrize(
    "settings",
    [
        DecodingSettings(
            temperature=0.9, top_p=0.5, top_k=7, max_new_tokens=9, best_of=8, frequency_penalty=0.5
        ),
        DecodingSettings(False),
    ],
)
def test_the_saved_defaults_come_back(settings, tokenizer, tmp_path):
    settings.to_generation_config(tokenizer).save_pretrained(tmp_path)
    loaded = DecodingSettings.from_generation_config(GenerationConfig.from_pretrained(tmp_path))
    assert loaded.do_sample == settings.do_sample and loaded.max_new_tokens == settings.max_new_tokens
    assert loaded.best_of == settings.best_of
    if settings.do_sample:
        assert loaded == settings


def test_what_a_models_own_file_says_is_within_the_limits():
    own = GenerationConfig(temperature=9.0, max_new_tokens=5000, seed=3)
    loaded = DecodingSettings.from_generation_config(own)
    assert (loaded.temperature, loaded.max_new_tokens, loaded.seed) == (1.5, 200, None)


def test_what_a_models_own_file_says_and_no_reply_here_goes_by_is_told(caplog):
    DecodingSettings.from_generation_config(
        GenerationConfig(repetition_penalty=1.3, no_repeat_ngram_size=3, num_beams=1, typical_p=1.0)
    )
    DecodingSettings.from_generation_config(GenerationConfig(num_beams=4))
    DecodingSettings.from_generation_config(GenerationConfig(repetition_penalty=1.0, temperature=0.5))
    told = "generation_config.json: without effect here: "
    assert caplog.messages == [
        f"{told}repetition_penalty, no_repeat_ngram_size; against repetition there is frequency_penalty",
        f"{told}num_beams",
    ]


def test_a_setting_that_is_not_given_stays_the_models_own():
    own = DecodingSettings(top_k=7, seed=3)
    assert own.changed(top_k=None, temperature=0.5, seed=None) == DecodingSettings(
        top_k=7, seed=3, temperature=0.5
    )


def test_what_persona_and_user_say_costs_nothing():
    import torch

    [processor] = DecodingSettings(frequency_penalty=0.5).logits_processors(prompt_tokens=3)
    scores = processor(torch.tensor([[1, 2, 1, 4, 4, 5]]), torch.zeros(1, 6))
    assert scores.tolist() == [[0, 0, 0, 0, -1, -0.5]]


def test_a_shortest_reply_is_asked_of_generate(tokenizer):
    assert DecodingSettings(min_new_tokens=5).to_generation_config(tokenizer).min_new_tokens == 5
    assert DecodingSettings().to_generation_config(tokenizer).min_new_tokens is None


def test_replies_cannot_hold_role_tokens(tokenizer):
    config = DecodingSettings().to_generation_config(tokenizer)
    assert set(config.suppress_tokens) == set(
        tokenizer.convert_tokens_to_ids(["<|persona|>", "<|user|>", "<|assistant|>", "<|pad|>"])
    )
    assert config.eos_token_id == tokenizer.eos_token_id
