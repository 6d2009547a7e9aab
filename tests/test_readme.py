"""What the README promises: its snippet runs, its files exist, its results are those of the results file."""

import json
import re
import shlex
from itertools import pairwise

import pytest
import yaml

from benchmarks.chat_report import OURS, TARGETS
from chat import jsonl
from eval.run import EvalArguments
from tests.conftest import ROOT
from training.arguments import TrainArguments

README = (ROOT / "README.md").read_text(encoding="utf-8")
BENCHMARKS = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
POCKET = ROOT / "models" / "pocket"
MODEL_CARD = (ROOT / "model_card.md").read_text(encoding="utf-8")


def test_the_snippet_answers_without_our_code(capsys):
    [snippet] = re.findall(r"```python\n(from transformers.*?)```", README, re.DOTALL)
    assert snippet.replace('"models/pocket"', "{{model_literal}}") in MODEL_CARD
    exec(snippet.replace('"models/pocket"', repr(str(POCKET))), {})
    assert re.search(r"\w", capsys.readouterr().out)


def test_the_files_that_it_names_exist():
    named = re.findall(r"(?:training|eval|chat|data_scripts)/[\w./-]+\.\w+", README)
    recipes = re.findall(r"^\| `([\w-]+\.yaml)` \|", README, re.MULTILINE)
    missing = [path for path in named if not (ROOT / path).exists()]
    configs = {path.name for path in (ROOT / "training" / "configs").rglob("*.yaml")}
    missing += sorted(set(recipes) - configs)
    assert named and recipes and not missing


def test_its_examples_of_a_dialogue_and_of_marks_are_such(tmp_path):
    from training.preferences import read_marks

    dialogue_line, marks_line = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    (tmp_path / "mine.jsonl").write_text(dialogue_line)
    [dialogue] = jsonl.read(tmp_path / "mine.jsonl")
    assert dialogue.persona and len(dialogue.turns) == 2
    (tmp_path / "marks.jsonl").write_text(marks_line)
    [marks] = read_marks(tmp_path / "marks.jsonl")
    assert marks.conversation.persona and (len(marks.good), len(marks.bad)) == (1, 2)


def test_its_lines_bring_chat_logs_into_our_form(tmp_path, monkeypatch):
    [snippet] = re.findall(r"```python\n(import json.*?)```", README, re.DOTALL)
    said = [{"role": role, "content": f"Hi, {role}!"} for role in ("system", "user", "assistant")]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chats.jsonl").write_text(f"{json.dumps({'messages': said})}\n" * 2)
    exec(snippet, {})
    dialogues = [[turn.text for turn in each.turns] for each in jsonl.read(tmp_path / "mine.jsonl")]
    assert dialogues == [["Hi, user!", "Hi, assistant!"]] * 2


def test_its_commands_for_dialogues_of_one_s_own_hand_on_what_they_make():
    """And take the place of no model, checkpoints or results of the commands above them."""
    [block] = re.findall(r"```\n(python -m data_scripts.prepare --corpora jsonl=.*?)```", README, re.DOTALL)
    commands = map(shlex.split, block.replace("\\\n", " ").splitlines())
    prepare, train, evaluate, chat = (dict(pairwise(command)) for command in commands)
    assert prepare["--output"] == train["--data"] == evaluate["--data"]
    assert prepare["--tokenizer"] == train["--base"] == evaluate["--base"]
    assert train["--final-model-dir"] == evaluate["--model"] == chat["--model"]
    defaults = TrainArguments()
    assert train["--output-dir"] != defaults.output_dir
    assert train["--final-model-dir"] != defaults.final_model_dir
    assert evaluate.get("--output", EvalArguments.output) != EvalArguments.output
    # The default is the reference's, of 124 million parameters; the base's own recipe tells what suits it.
    demo = yaml.safe_load((ROOT / "training/configs/demo.yaml").read_text(encoding="utf-8"))
    assert float(train["--learning-rate"]) == demo["learning_rate"] and demo["base"] == train["--base"]
    assert train["--batching"] == demo["batching"]


def test_its_flags_are_written_as_those_of_the_commands():
    of_accelerate = {"--config_file", "--num_processes", "--machine_rank", "--main_process_ip"}
    assert {*re.findall(r"--\w+_\w+", README)} == of_accelerate


def test_its_score_of_the_best_reply_is_the_one_in_use():
    from chat.best_of import GENERIC_WEIGHT, LENGTH_COST

    told = " ".join(README.split())
    assert f" {GENERIC_WEIGHT} log P(reply) a token, less {LENGTH_COST} for each token" in told


def test_what_it_says_of_the_embedded_model_s_drafts_is_what_it_draws():
    own = json.loads((POCKET / "generation_config.json").read_text(encoding="utf-8"))
    assert f"and the embedded model's own is {own['best_of']}." in " ".join(README.split())


def test_its_table_is_rendered_from_the_results():
    from eval.report import summary

    results = json.loads((POCKET / "results.json").read_text(encoding="utf-8"))
    table = summary(results).partition("### personachat\n")[2].strip()
    assert "bits per byte" in table and table in README


@pytest.mark.parametrize("benchmark", ["train_throughput", "training_memory", "chat_speed"])
def test_its_benchmark_tables_are_rendered_from_the_results(benchmark):
    import importlib

    results = json.loads((ROOT / "benchmarks" / "results" / f"{benchmark}.json").read_text(encoding="utf-8"))
    page = BENCHMARKS if benchmark == "chat_speed" else README
    assert importlib.import_module(f"benchmarks.{benchmark}").render(results) in page


def test_its_table_of_batches_is_of_the_data_that_it_names():
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from chat.template import ROLE_TOKENS

    results = json.loads((ROOT / "benchmarks/results/train_throughput.json").read_text(encoding="utf-8"))
    told = " ".join(README.split())
    [vocabulary] = re.findall(r"PersonaChat, prepared with `--train-tokenizer-vocab-size (\d+)`, all", told)
    # Role tokens and padding come on top.
    config = AutoConfig.from_pretrained(
        ROOT / "training/configs/models/gpt2-7m.json", vocab_size=int(vocabulary) + len(ROLE_TOKENS) + 1
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert model.num_parameters() == results["parameters"]


def test_its_speeds_are_those_of_the_results():
    results = json.loads((ROOT / "benchmarks/results/chat_speed.json").read_text(encoding="utf-8"))
    large, small = results["models"]["random"], results["models"]["embedded"]
    speeds = [
        f"{round(model['contenders'][OURS][name]):,}"
        for model in (large, small)
        for name in ("tokens_per_second", "users_tokens_per_second")
    ]
    assert round(TARGETS[0].figure(large)) == 5
    said = " ".join(README.split())
    assert (
        f"the 124M model makes {speeds[0]} tokens/s for one user and {speeds[1]} for eight, five times"
        in said
    )
    assert f"the embedded one {speeds[2]} and {speeds[3]};" in said


def test_its_figures_of_a_cpu_with_avx2_alone_are_those_of_the_results():
    results = json.loads((ROOT / "benchmarks/results/chat_speed_avx2.json").read_text(encoding="utf-8"))
    assert "(avx2)" in results["cpu"]
    large, small = results["models"]["random"], results["models"]["embedded"]
    speeds = [
        [round(model["contenders"][OURS][name]) for name in ("tokens_per_second", "users_tokens_per_second")]
        for model in (large, small)
    ]
    missed = [[target.name for target in TARGETS if not target.is_met(model)] for model in (large, small)]
    assert len(missed[0]) == 5 and missed[1] == ["tokens/s of 8 users, against one"]
    said = " ".join(BENCHMARKS.split())
    assert f"{speeds[0][0]} tokens/s for one user and {speeds[0][1]} for eight, and misses five" in said
    assert f"a reply of 30 tokens takes {large['short_reply_seconds']:.2f} s" in said
    assert f"makes {speeds[1][0]} and {speeds[1][1]:,}, misses the same one" in said
    assert f"its best of sixteen in {small['own_settings_reply_seconds']:.2f} s" in said


def test_its_figures_of_preparing_are_those_of_the_results():
    results = json.loads((ROOT / "benchmarks/results/prepare_throughput.json").read_text(encoding="utf-8"))
    cold = results["variants"]["gpt2 tokenizer"]["cold"]
    told = " ".join(README.split())
    assert f"take {cold['seconds']:.0f} s and {cold['peak_memory_bytes'] / 1e9:.1f} GB on two cores" in told


def test_its_time_of_training_on_a_gpu_is_that_of_its_table():
    results = json.loads((ROOT / "benchmarks/results/training_memory.json").read_text(encoding="utf-8"))
    seconds = results["models"]["gpt2"]["petaflop_per_million_tokens"] * 1e15 / (0.4 * 312e12)
    prepared = json.loads((ROOT / "benchmarks/results/prepare_throughput.json").read_text(encoding="utf-8"))
    millions = prepared["variants"]["gpt2 tokenizer"]["total"]["train"]["tokens"] / 1e6
    told = " ".join(README.split())
    assert f"GPT-2 takes {seconds:.0f} seconds for a million tokens; an epoch" in told
    assert f"our copy of PersonaChat has {millions:.0f} million." in told


def test_the_gpus_that_it_names_are_large_enough_for_the_recipes(monkeypatch):
    from benchmarks import training_memory
    from data_scripts.arguments import PrepareArguments

    [told] = re.findall(r"So GPT-2 trains .*? with FSDP\.", " ".join(README.split()))
    named = re.findall(r"(\d+) GB with `([\w-]+\.yaml)`", told)
    assert named
    for gigabytes, name in named:
        recipe = yaml.safe_load((ROOT / "training/configs" / name).read_text(encoding="utf-8"))
        # A compiled model computes the logits of all tokens.
        monkeypatch.setattr(training_memory, "REPLY_SHARE", 1.0 if recipe.get("torch_compile") else 0.5)
        rows = recipe["per_device_train_batch_size"]
        tokens = rows * recipe.get("packed_row_length", PrepareArguments.max_length)
        size = training_memory.SIZES[recipe["base"].rpartition("/")[2]]
        needed = training_memory.needs(*size, tokens, gpus=1)
        kept = "activations_checkpointed_gb" if recipe.get("gradient_checkpointing") else "activations_gb"
        # CUDA's own on top.
        assert needed["ddp_gb"] + needed[kept] + 2 < float(gigabytes), name
