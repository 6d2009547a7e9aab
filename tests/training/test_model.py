"""The model that is trained: from a configuration or from weights, and what does not fit."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

from chat.cli import UserError
from chat.decoding import DecodingSettings
from chat.hub.loading import load_causal_lm
from tests.conftest import refused
from tests.tiny_models import saved, tiny_model
from tests.training.divided import as_zero3_leaves_them
from training.model import build_model


@pytest.fixture
def base_model_folder(tmp_path, base_tokenizer_folder):
    """A pretrained base as on the Hub: its own tokenizer, no chat format."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    tokenizer = AutoTokenizer.from_pretrained(base_tokenizer_folder)
    folder = tmp_path / "base"
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=len(tokenizer), n_layer=1, n_embd=32, n_head=2, n_positions=256)
    return saved(GPT2LMHeadModel(config), tokenizer, folder)


def test_a_configuration_gives_random_weights_of_the_datas_vocabulary(tiny_config_file, tokenizer):
    torch.manual_seed(3)
    model = build_model(str(tiny_config_file), tokenizer, longest_sequence=256)
    torch.manual_seed(3)
    again = build_model(str(tiny_config_file), tokenizer, longest_sequence=256)
    assert model.config.vocab_size == len(tokenizer) == model.get_input_embeddings().num_embeddings
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_a_base_keeps_its_weights_and_grows_by_the_chat_tokens(base_model_folder, tokenizer):
    base = AutoModelForCausalLM.from_pretrained(base_model_folder)
    model = build_model(str(base_model_folder), tokenizer, longest_sequence=256)
    before, after = base.get_input_embeddings().weight, model.get_input_embeddings().weight
    assert after.shape[0] == len(tokenizer) == before.shape[0] + 4
    assert torch.equal(after[: before.shape[0]], before)
    assert after.data_ptr() == model.get_output_embeddings().weight.data_ptr()


def test_a_base_with_more_embeddings_than_tokens_keeps_them(base_model_folder, tokenizer):
    padded = AutoModelForCausalLM.from_pretrained(base_model_folder)
    padded.resize_token_embeddings(len(tokenizer) + 60)
    padded.save_pretrained(base_model_folder)
    model = build_model(str(base_model_folder), tokenizer, longest_sequence=256)
    assert model.get_input_embeddings().num_embeddings == model.config.vocab_size == len(tokenizer) + 60


def test_special_ids_and_generation_defaults_are_the_tokenizers(tiny_config_file, tokenizer):
    model = build_model(str(tiny_config_file), tokenizer, longest_sequence=8)
    for config in (model.config, model.generation_config):
        assert config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id
        assert config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.do_sample and model.generation_config.top_p == 0.9


def test_a_chat_model_keeps_how_its_replies_are_drawn_but_for_what_is_given(
    model_folder, tokenizer, tmp_path
):
    shutil.copytree(model_folder, tmp_path / "chat")
    drawn = {"temperature": 1.1, "top_p": 0.8, "best_of": 16, "do_sample": True}
    (tmp_path / "chat" / "generation_config.json").write_text(json.dumps(drawn))
    given = {"temperature": 0.5, "top_p": None}
    model = build_model(str(tmp_path / "chat"), tokenizer, longest_sequence=8, decoding=given)
    expected = DecodingSettings(temperature=0.5, top_p=0.8, best_of=16)
    assert DecodingSettings.from_generation_config(model.generation_config) == expected
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


@pytest.mark.parametrize("given", [{}, {"best_of": 4}])
def test_a_chat_model_that_draws_nothing_does_where_it_is_told_how(model_folder, tokenizer, tmp_path, given):
    shutil.copytree(model_folder, tmp_path / "chat")
    (tmp_path / "chat" / "generation_config.json").write_text('{"do_sample": false}')
    model = build_model(str(tmp_path / "chat"), tokenizer, longest_sequence=8, decoding=given)
    assert model.generation_config.do_sample is bool(given)


def test_how_another_base_draws_is_not_how_the_chat_does(base_model_folder, tokenizer):
    drawn = {"temperature": 0.3, "do_sample": True}
    (base_model_folder / "generation_config.json").write_text(json.dumps(drawn))
    model = build_model(str(base_model_folder), tokenizer, longest_sequence=8, decoding={"top_p": 0.5})
    expected = DecodingSettings(top_p=0.5)
    assert DecodingSettings.from_generation_config(model.generation_config) == expected


def test_another_tokenizer_than_the_datas_is_refused(base_model_folder):
    from chat.template import add_chat_format
    from data_scripts.train_tokenizer import train_tokenizer

    other = add_chat_format(train_tokenizer(["zebras zigzag"] * 9, vocab_size=300))
    with pytest.raises(UserError, match=r"--base .*its tokenizer is not the one .* prepare the data with"):
        build_model(str(base_model_folder), other, longest_sequence=8)


def test_too_few_positions_are_refused(tiny_config_file, tokenizer):
    with pytest.raises(UserError, match="has 256 positions, but --data has a sequence of 300"):
        build_model(str(tiny_config_file), tokenizer, longest_sequence=300)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (json.dumps({"model_type": "gpt2", "n_layers": 2, "n_embbd": 8}), "unknown key `n_embbd` for gpt2"),
        ("{", "no usable model configuration"),
        (json.dumps({"n_layer": 2}), "no usable model configuration"),
    ],
)
def test_a_bad_configuration_is_named(tmp_path, tokenizer, content, problem):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with refused(problem, begins=f"--base {path}: "):
        build_model(str(path), tokenizer, longest_sequence=8)


def test_weights_that_are_cut_off_are_named(base_model_folder, tokenizer, tmp_path):
    base = tmp_path / "cut"
    shutil.copytree(base_model_folder, base)
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"^--base .*: no usable model \(.*\); give a folder that holds one$"):
        build_model(str(base), tokenizer, longest_sequence=8)


def test_a_model_without_positions_is_named(tokenizer, tmp_path):
    config = {"model_type": "bloom", "hidden_size": 32, "n_layer": 1, "n_head": 2, "vocab_size": 10}
    (tmp_path / "bloom.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"--base .*: a bloom without a number of positions"):
        build_model(str(tmp_path / "bloom.json"), tokenizer, longest_sequence=8)


def test_a_path_that_may_not_be_read_is_named(monkeypatch, tokenizer):
    from pathlib import Path

    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(UserError, match=r"^--base /root/x: no usable model"):
        build_model("/root/x", tokenizer, longest_sequence=8)


def test_a_base_that_is_nowhere_is_named(tokenizer, tmp_path):
    for base, problem in (
        (str(tmp_path / "nowhere"), "no such file or folder"),
        ("someone/some-model", "the Hub cannot be reached (offline mode)"),
        (str(tmp_path), "holds no model"),
    ):
        with refused(problem, begins=f"--base {base}: "):
            build_model(base, tokenizer, longest_sequence=8)


def test_an_encoder_that_sees_what_comes_after_is_refused(tokenizer, tmp_path):
    saved(tiny_model("bert", len(tokenizer)), tokenizer, tmp_path)
    with pytest.raises(UserError, match=r"^--base .*: a bert that sees the tokens which come after"):
        build_model(str(tmp_path), tokenizer, longest_sequence=8)


def test_a_base_that_could_not_be_loaded_after_its_training_is_refused_before(tokenizer, tmp_path):
    """XGLM has a place for padding in its table of positions, by the id of the token."""
    saved(tiny_model("xglm", len(tokenizer), max_position_embeddings=128), tokenizer, tmp_path)
    with pytest.raises(UserError, match=r"^--base .*: a xglm with the ids of the data's tokenizer could not"):
        build_model(str(tmp_path), tokenizer, longest_sequence=8)


def test_weights_that_zero3_divided_as_it_loaded_them_are_a_base_like_any(
    model_folder, tokenizer, tmp_path, monkeypatch
):
    saved(tiny_model("bert", len(tokenizer)), tokenizer, tmp_path)

    def divided(name, flag):
        model = load_causal_lm(name, flag)
        as_zero3_leaves_them(model, monkeypatch)
        return model

    monkeypatch.setattr("training.model.load_causal_lm", divided)
    assert build_model(str(model_folder), tokenizer, longest_sequence=8).dtype == torch.float32
    with pytest.raises(UserError, match=r"^--base .*: a bert that sees the tokens which come after"):
        build_model(str(tmp_path), tokenizer, longest_sequence=8)
