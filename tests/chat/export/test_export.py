"""Exports: files as others expect them, checked against torch, refused where they say something else."""

import json
import subprocess
import sys

import pytest

from chat.cli import UserError
from chat.decoding import DecodingSettings
from chat.export.arguments import SAMPLE_DIALOGUES, ExportArguments
from chat.export.check import check, to_compare
from chat.export.graph import check_exportable
from chat.export.onnx import OnnxDecoder
from chat.export.run import export_model
from chat.hub.loading import load_causal_lm
from chat.template import chat_template
from tests.conftest import SAMPLE
from tests.processes import own_home
from tests.tiny_models import saved, tiny_model


@pytest.fixture(scope="module")
def exports(model_folder, tmp_path_factory):
    """A function: folder and check of an export, made once."""
    made = {}

    def export(to: str, weights: str):
        if (to, weights) not in made:
            output = tmp_path_factory.mktemp("export") / to
            arguments = ExportArguments(str(model_folder), to, weights, output=str(output))
            made[to, weights] = export_model(arguments)
        return made[to, weights]

    return export


@pytest.mark.parametrize("to", ["openvino", "onnx"])
@pytest.mark.parametrize("weights", ["fp32", "int8", "int4"])
def test_an_export_says_what_torch_says(exports, to, weights):
    folder, found = exports(to, weights)
    assert found.holds and found.greedy_replies == 8
    if weights == "fp32":
        assert found.equal_greedy_replies >= 7 and abs(found.perplexity_change) < 1e-3
    if (to, weights) == ("onnx", "fp32"):
        assert found.equal_greedy_replies == 8 and found.largest_difference < 1e-4
    recorded = json.loads((folder / "export.json").read_text())
    assert recorded["weights"] == weights and recorded["check"] == found.to_json()


def test_onnx_has_the_files_and_names_that_its_users_expect(exports):
    import onnxruntime

    for weights, name in (
        ("fp32", "model.onnx"),
        ("int8", "model_quantized.onnx"),
        ("int4", "model_q4.onnx"),
    ):
        folder, _ = exports("onnx", weights)
        assert [path.name for path in (folder / "onnx").iterdir()] == [name]
        assert {"config.json", "generation_config.json", "tokenizer.json"} <= {
            p.name for p in folder.iterdir()
        }
        session = onnxruntime.InferenceSession(str(folder / "onnx" / name))
        cache = [f"{layer}.{part}" for layer in range(2) for part in ("key", "value")]
        inputs = ["input_ids", "attention_mask", "position_ids", *(f"past_key_values.{n}" for n in cache)]
        assert [each.name for each in session.get_inputs()] == inputs
        assert [each.name for each in session.get_outputs()] == ["logits", *(f"present.{n}" for n in cache)]
        assert session.get_inputs()[3].shape == ["batch", 2, "past_length", 16]


def test_onnx_in_few_bits_has_no_matrix_of_a_layer_in_float32(exports):
    import onnx

    for weights, name in (("int8", "model_quantized.onnx"), ("int4", "model_q4.onnx")):
        graph = onnx.load(str(exports("onnx", weights)[0] / "onnx" / name)).graph
        whole = [
            each.name
            for each in graph.initializer
            if len(each.dims) > 1 and each.data_type == onnx.TensorProto.FLOAT and "scale" not in each.name
        ]
        assert not [name for name in whole if "transformer.h" in name or "MatMul" in name], weights
        assert len(whole) == (2 if weights == "int4" else 0)


def test_onnx_brings_the_chat_template_where_transformers_js_looks_for_it(exports, tokenizer):
    from transformers import AutoTokenizer

    folder, _ = exports("onnx", "fp32")
    assert json.loads((folder / "tokenizer_config.json").read_text())["chat_template"] == chat_template()
    assert AutoTokenizer.from_pretrained(folder).chat_template == tokenizer.chat_template


def test_openvino_genai_chats_by_the_folder_alone(exports, tokenizer):
    import openvino_genai

    folder, _ = exports("openvino", "int8")
    pipeline = openvino_genai.LLMPipeline(str(folder), "CPU")
    assert pipeline.generate("Hello", max_new_tokens=4, ignore_eos=True)
    assert pipeline.get_generation_config().top_k == DecodingSettings().top_k
    messages = [{"role": "system", "content": " I sing. "}, {"role": "user", "content": "<|user|> Hi"}]
    expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    found = pipeline.get_tokenizer().apply_chat_template(messages, add_generation_prompt=True)
    assert found == expected and "< |user|> Hi" in found


def test_an_export_that_says_something_else_is_refused_with_the_figure(model_folder, tmp_path, monkeypatch):
    from chat.export import check as checks

    monkeypatch.setattr(checks, "MAX_PERPLEXITY_CHANGE", -1.0)
    output = tmp_path / "export"
    with pytest.raises(
        UserError, match=r"the int8 export is refused \(perplexity \d.* --to openvino --weights fp32`"
    ):
        export_model(ExportArguments(str(model_folder), output=str(output)))
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("content", ["", '{"turns": [{"role": "user", "text": "Hi!"}]}'])
def test_dialogues_without_a_reply_are_named_before_the_work(model_folder, tmp_path, content, monkeypatch):
    monkeypatch.setattr("chat.export.run._write", lambda *_: pytest.fail("it began"))
    dialogues = tmp_path / "mine.jsonl"
    dialogues.write_text(content)
    arguments = ExportArguments(str(model_folder), dialogues=str(dialogues), output=str(tmp_path / "made"))
    with pytest.raises(UserError, match=r"--dialogues .*mine.jsonl: has no reply to compare"):
        export_model(arguments)


def test_dialogues_that_fill_the_positions_are_compared(exports, model_folder, tokenizer, tmp_path):
    turns = [
        {"role": ("user", "assistant")[number % 2], "text": "I have two cats."[: 6 + number % 9]}
        for number in range(300)
    ]
    dialogues = tmp_path / "long.jsonl"
    dialogues.write_text(json.dumps({"turns": turns}))
    folder, _ = exports("onnx", "fp32")
    model = load_causal_lm(str(model_folder))
    decoder = OnnxDecoder(folder / "onnx" / "model.onnx", model.config)
    found = check(decoder, model, tokenizer, to_compare(dialogues, model, tokenizer))
    assert found.holds and found.greedy_replies > 4


def test_onnx_that_is_not_installed_is_named_before_the_work(model_folder, monkeypatch, tmp_path):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="--to onnx: onnx and onnxruntime not installed; install with `pip"):
        export_model(ExportArguments(str(model_folder), "onnx", output=str(tmp_path / "made")))


def test_the_check_sees_another_model(exports, model_folder, tokenizer):
    """What the export has is not what torch has, once torch's weights are changed."""
    import torch

    folder, _ = exports("onnx", "fp32")
    model = load_causal_lm(str(model_folder))
    with torch.no_grad():
        model.transformer.wte.weight.mul_(3)
    decoder = OnnxDecoder(folder / "onnx" / "model.onnx", model.config)
    found = check(decoder, model, tokenizer, to_compare(SAMPLE_DIALOGUES, model, tokenizer))
    assert not found.holds and found.largest_difference > 0.1


def test_another_architecture_is_refused(tmp_path, tokenizer):
    saved(tiny_model("llama", len(tokenizer)), tokenizer, tmp_path)
    with pytest.raises(UserError, match=r"exporting llama is not supported, only gpt2; use the torch engine"):
        export_model(ExportArguments(str(tmp_path)))


@pytest.mark.parametrize(
    ("unusual", "what"),
    [
        ({"scale_attn_weights": False}, "gpt2 with scale_attn_weights False is not supported"),
        ({"add_cross_attention": True}, "gpt2 with add_cross_attention True is not supported"),
        ({"n_positions": 16}, "16 positions is not supported, only 32 or more"),
    ],
)
def test_what_is_unusual_about_a_gpt2_is_told(unusual, what):
    from transformers import GPT2Config

    with pytest.raises(UserError, match=f"^--model X: exporting {what}"):
        check_exportable(GPT2Config(**unusual), "--model", "X")


def test_a_folder_with_something_else_is_left_alone(model_folder, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match=r"--output .* already holds something else"):
        export_model(ExportArguments(str(model_folder), output=str(tmp_path)))


@pytest.mark.slow
def test_the_command_prints_the_figures_warns_of_nothing_and_reports_to_nobody(model_folder, tmp_path):
    """OpenVINO's and NNCF's telemetry would leave a client's id in the home."""
    command = [sys.executable, "-m", "chat.export", "--model", str(model_folder), "--output", "made"]
    done = subprocess.run(
        command, cwd=tmp_path, env=own_home(tmp_path), capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("int8: perplexity ") and second == "the export is in made"
    assert "Warning" not in done.stderr
    assert not (tmp_path / "intel").exists() and (tmp_path / "made" / "openvino_model.xml").is_file()


def test_the_sample_dialogues_are_those_of_the_sample_corpus():
    from collections import Counter

    from chat import jsonl
    from data_scripts import personachat

    def texts(dialogues):
        return [(each.persona, [(turn.role, turn.text) for turn in each.turns]) for each in dialogues]

    corpus = personachat.load(str(SAMPLE / "persona-chat"), False, Counter())
    assert texts(jsonl.read(SAMPLE_DIALOGUES)) == texts(each for each in corpus if each.split == "val")
