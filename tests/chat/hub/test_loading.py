"""A model by its Hub id, over real HTTP on loopback: downloaded and exported once, and then there offline."""

import shutil
from contextlib import nullcontext

import pytest
import torch
from transformers import AutoModelForCausalLM

from chat.cli import UserError
from chat.hub.loading import check_ids, load_causal_lm, load_chat_tokenizer, load_tokenizer, statistics_file
from chat.hub.loading import model_folder as model_folder_of
from chat.model_files import MODEL_FILES
from tests.conftest import change_json
from tests.hub_server import client_environment, hub
from tests.processes import python
from tests.tiny_models import TINY


def test_of_a_model_of_the_hub_comes_what_chatting_reads_and_nothing_else(monkeypatch, tmp_path):
    """Beside it there may be checkpoints, or the same weights in other formats."""

    def snapshot_download(name, allow_patterns):
        (tmp_path / "asked").write_text(f"{name} {allow_patterns}")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr("chat.hub.path_or_id._state_on_hub", lambda *_: (None, False))
    assert model_folder_of("user/model") == tmp_path
    assert (tmp_path / "asked").read_text() == f"user/model {MODEL_FILES}"
    assert model_folder_of(str(tmp_path)) == tmp_path


def test_an_id_needs_an_embedding():
    check_ids(99, 100, "user/model", "--model")
    with pytest.raises(UserError, match=r"^--model user/model: its tokenizer has ids up to 100, and the mod"):
        check_ids(100, 100, "user/model", "--model")


def test_a_base_is_to_be_fine_tuned_before_it_chats(base_tokenizer_folder):
    with pytest.raises(UserError, match=r"^--model .*: was not trained in this project's chat format"):
        load_chat_tokenizer(str(base_tokenizer_folder), "--model")


def test_of_data_that_has_no_statistics_there_are_none(tmp_path):
    assert statistics_file(str(tmp_path)) is None
    (tmp_path / "stats.json").touch()
    assert statistics_file(str(tmp_path)) == tmp_path / "stats.json"


def test_a_tokenizer_without_its_words_is_an_error(model_folder, tmp_path):
    """transformers makes one of its configuration alone, and all that is said is nothing to it."""
    for name in ("config.json", "tokenizer_config.json"):
        shutil.copy(model_folder / name, tmp_path)
    with pytest.raises(UserError, match=r"^--model .*: its tokenizer has no words; put the tokenizer.json"):
        load_tokenizer(str(tmp_path), "--model")


@pytest.mark.slow
def test_chatting_with_a_model_of_the_hub(model_folder, tmp_path):
    chat = ("-m", "chat", "--model", "someone/model", "--engine", "openvino", "--seed", "1")
    with hub({("model", "someone/model"): model_folder}) as endpoint:
        own = client_environment(endpoint, tmp_path)
        online = python(*chat, environment=own, says="Hi!\n", timeout=120)
    assert online.returncode == 0, online.stderr
    assert "GPT-2: " in online.stdout
    offline = python(*chat, environment=own, says="Hi!\n", timeout=120)
    assert offline.returncode == 0, offline.stderr
    assert offline.stdout == online.stdout
    assert "Exporting" in online.stderr and "Exporting" not in offline.stderr


def test_weights_that_would_be_unpickled_are_not_loaded(model_folder, tmp_path):
    torch.save(load_causal_lm(str(model_folder)).state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_bytes((model_folder / "config.json").read_bytes())
    with pytest.raises(UserError, match=r"^--model .*: no usable model \(.*safetensors"):
        load_causal_lm(str(tmp_path))


def test_layers_that_no_file_holds_are_an_error_and_no_random_ones(model_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    change_json(folder / "config.json", n_layer=TINY["n_layer"] + 1)
    with pytest.raises(UserError, match=r"^--model .*: its files lack 12 of the weights .*transformer\.h\.2"):
        load_causal_lm(str(folder))


def test_loading_leaves_the_programs_progress_bars_as_they_are(model_folder, capfd):
    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled(), are_progress_bars_disabled()
    load_causal_lm(str(model_folder))
    assert not capfd.readouterr().err
    assert (logging.is_progress_bar_enabled(), are_progress_bars_disabled()) == before
    list(logging.tqdm([1], desc="the program's own"))
    assert "the program's own" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("file", "load", "loads"),
    [
        ("config.json", load_causal_lm, pytest.raises(UserError, match=r"^--model .*: no usable model")),
        # Its words are in a file of the library's own format.
        ("tokenizer_config.json", load_tokenizer, nullcontext()),
    ],
)
def test_code_that_comes_with_a_model_is_not_run(model_folder, tmp_path, monkeypatch, file, load, loads):
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    classes = {
        "AutoConfig": "own.Config",
        "AutoModelForCausalLM": "own.Model",
        "AutoTokenizer": [None, "own.T"],
    }
    change_json(folder / file, auto_map=classes, model_type="own", tokenizer_class="OwnTokenizer")
    # As it is where commands are piped in, which would be taken for answers.
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with loads:
        load(str(folder), "--model")
    assert not (tmp_path / "ran").exists()


def test_a_model_is_loaded_to_be_used_in_full_precision_whatever_it_was_saved_in(model_folder, tmp_path):
    load_causal_lm(str(model_folder)).to(torch.bfloat16).save_pretrained(tmp_path)
    model = load_causal_lm(str(tmp_path))
    assert model.dtype == torch.float32 and not model.training


@pytest.mark.parametrize("activation", ["gelu_new", "relu"])
def test_the_activation_is_one_kernel_and_the_same_function(model_folder, tmp_path, activation):
    """Of transformers' own, training keeps four tensors of the MLP's width where the kernel keeps one."""
    shutil.copytree(model_folder, tmp_path / "model")
    change_json(tmp_path / "model/config.json", activation_function=activation)
    ours = load_causal_lm(str(tmp_path / "model"))
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    assert ours.config.activation_function == activation
    assert isinstance(ours.transformer.h[0].mlp.act, torch.nn.GELU) == (activation == "gelu_new")
    ids = torch.arange(100)[None]
    numbers_kept = []
    for model in (ours, plain):
        kept = {}

        def keep(tensor, kept=kept):
            kept[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model(input_ids=ids, labels=ids).loss.backward()
        numbers_kept.append(sum(kept.values()))
    assert (numbers_kept[0] < 0.8 * numbers_kept[1]) == (activation == "gelu_new")
    for our, their in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(our.grad, their.grad, rtol=1e-4, atol=1e-6)


def test_weights_of_other_shapes_than_the_configuration_tells_are_named(model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    change_json(folder / "config.json", n_positions=100)
    with pytest.raises(UserError, match=r"wpe.weight` is \(256, 32\) in its files, and \(100, 32\) by its"):
        load_causal_lm(str(folder))


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_weights_of_a_training_that_diverged_are_refused(model_folder, tmp_path, value):
    model = load_causal_lm(str(model_folder))
    model.transformer.h[1].ln_1.bias.data[0] = float(value)
    model.save_pretrained(tmp_path)
    with pytest.raises(
        UserError, match=r"^--model .*: `transformer\.h\.1\.ln_1\.bias` has weights that are NaN"
    ):
        load_causal_lm(str(tmp_path))


def test_decoding_settings_that_cannot_be_read_are_an_error_and_no_others(model_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "generation_config.json").write_text('{"temperature": 0.7,')
    with pytest.raises(UserError, match=r"^--model .*: no usable generation configuration"):
        load_causal_lm(str(folder))


def _with_fewer_layers(folder):
    change_json(folder / "config.json", n_layer=1)
    return folder


def test_layers_beyond_those_of_the_configuration_are_an_error_and_not_left_out(model_folder, tmp_path):
    folder = _with_fewer_layers(shutil.copytree(model_folder, tmp_path / "model"))
    with pytest.raises(UserError, match=r"^--model .*: its files hold 2 layers, .* tells of 1; give"):
        load_causal_lm(str(folder))
    bare = tmp_path / "bare"
    load_causal_lm(str(model_folder)).transformer.save_pretrained(bare)
    with pytest.raises(UserError, match=r"hold 2 layers"):
        load_causal_lm(str(_with_fewer_layers(bare)))


def test_what_files_hold_beside_a_causal_language_model_does_no_harm(model_folder, tmp_path):
    """Buffers of earlier versions, the head of another task, and one that is tied."""
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(model_folder, tmp_path / "model")
    saved = load_file(folder / "model.safetensors")
    saved |= {f"transformer.h.{layer}.attn.masked_bias": torch.tensor(-1e4) for layer in range(2)}
    saved |= {"score.weight": torch.ones(2, 32), "lm_head.weight": saved["transformer.wte.weight"].clone()}
    save_file(saved, folder / "model.safetensors", {"format": "pt"})
    assert load_causal_lm(str(folder)).config.n_layer == 2


@pytest.mark.parametrize("asked", [{"return_dict": False}, {"output_attentions": True}])
def test_what_a_configuration_asks_of_outputs_is_not_ours(model_folder, tmp_path, asked):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    change_json(folder / "config.json", **asked)
    model = load_causal_lm(str(folder))
    outputs = model(torch.tensor([[1]]))
    assert outputs.logits.shape[1] == 1 and outputs.attentions is None
    model.config.save_pretrained(tmp_path)
