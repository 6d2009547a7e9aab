"""A published model, card, metric: the ecosystem's own clients load them, in processes of their own."""

import base64
import json
import shutil

import pytest
from huggingface_hub import ModelCard

from tests.conftest import ROOT
from tests.hub_server import client_environment, hub
from tests.hub_server.store import Repositories
from tests.processes import python

pytestmark = pytest.mark.slow

TOKEN = "hf_" + "SecretOfSomeone" * 3
MODEL = ("model", "someone/pocket")
POCKET = ROOT / "models" / "pocket"
LOAD = """
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline
name, persona, question = sys.argv[1:]
messages = [{"role": "system", "content": persona}, {"role": "user", "content": question}]
model = AutoModelForCausalLM.from_pretrained(name)
tokenizer = AutoTokenizer.from_pretrained(name)
prompt = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
drawn = model.generate(**prompt, do_sample=False)[0, prompt["input_ids"].shape[1] :]
[said] = pipeline("text-generation", name)(messages, do_sample=False)
print(json.dumps([tokenizer.decode(drawn, skip_special_tokens=True), said["generated_text"][-1]["content"]]))
"""
TAGGED = """
import sys
from transformers import AutoConfig
print(AutoConfig.from_pretrained(sys.argv[1], revision="v1.0").model_type)
"""
CARD = """
import sys
from huggingface_hub import ModelCard
print(ModelCard.load(sys.argv[1]).data.eval_results)
"""
METRIC = """
import json, sys
import evaluate
metric = evaluate.load(sys.argv[1])
print(json.dumps(metric.compute(predictions=json.loads(sys.argv[2]))))
"""
PERSONA, QUESTION = "I have two cats. I work as a nurse.", "What do you do for work?"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    repositories = Repositories(token=TOKEN)
    with hub(repositories) as endpoint:
        yield (
            repositories,
            lambda token=TOKEN: client_environment(endpoint, tmp_path_factory.mktemp("machine"), token),
        )


def run(environment: dict, *arguments: str, says: str = ""):
    done = python(*arguments, environment=environment, says=says, timeout=1200)
    assert TOKEN not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def published(served):
    """The embedded model on the Hub, for all to see, tagged."""
    repositories, machine = served
    flags = ["--model", str(POCKET), "--push-to-hub", MODEL[1], "--hub-tag", "v1.0", "--hub-public", "true"]
    done = run(machine(), "-m", "eval.publish_model", *flags)
    assert done.returncode == 0, done.stderr
    return repositories


def test_it_is_one_tagged_commit_of_safetensors_with_a_card(published):
    repository, contents = published.get(MODEL), published.contents(MODEL)
    assert not repository.private and repository.tags == {"v1.0": repository.branches["main"]}
    assert published.messages(MODEL) == ["Publish the model"]
    assert contents["model.safetensors"] == (POCKET / "model.safetensors").read_bytes()
    assert "openvino/openvino_model.xml" in contents
    assert not [
        path for path in contents if path.endswith((".pt", ".pth", ".pkl", ".py", "pytorch_model.bin"))
    ]
    data = ModelCard(contents["README.md"].decode()).data
    assert data.pipeline_tag == "text-generation" and data.library_name == "transformers"


def test_transformers_loads_it_on_another_machine(served, published):
    _, machine = served
    done = run(machine(""), "-c", LOAD, MODEL[1], PERSONA, QUESTION)
    assert done.returncode == 0, done.stderr
    generated, piped = json.loads(done.stdout.splitlines()[-1])
    assert "nurse" in generated and piped == generated
    done = run(machine(""), "-c", TAGGED, MODEL[1])
    assert done.stdout.strip() == "gpt2", done.stderr


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_our_chat_answers_with_it_on_another_machine(served, published, engine):
    _, machine = served
    flags = ["--model", MODEL[1], "--persona", "I work as a nurse.", "--engine", engine, "--seed", "1"]
    done = run(machine(""), "-m", "chat", *flags, says=f"{QUESTION}\n")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) > 5


def test_it_is_published_again_without_losing_what_others_wrote(served, published, tmp_path):
    _, machine = served
    environment, flags = machine(), ["--push-to-hub", MODEL[1], "--hub-public", "true"]
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "adapter_model.safetensors").write_bytes(b"of another's making")
    _edit_card(published, tmp_path, "## Thanks\nTo my cat.")
    done = run(environment, "-m", "eval.publish_model", "--model", str(POCKET), *flags)
    assert done.returncode == 0, done.stderr
    assert "lora/adapter_model.safetensors" in published.contents(MODEL)
    card = published.contents(MODEL)["README.md"].decode()
    assert card.count("To my cat.") == 1 and card.count("# someone/pocket") == 1
    done = run(environment, "-m", "eval.publish_model", "--model", str(POCKET), *flags, "--hub-tag", "v1.0")
    assert done.returncode == 2 and "has this tag already" in done.stderr


def _edit_card(repositories: Repositories, scratch, text: str) -> None:
    """Somebody writes into the card on the Hub, in the browser."""
    for path, content in repositories.contents(MODEL).items():
        (scratch / path).parent.mkdir(exist_ok=True)
        (scratch / path).write_bytes(content)
    with open(scratch / "README.md", "a") as card:
        card.write(f"\n{text}\n")
    repositories.import_folder(MODEL, scratch)


@pytest.fixture(scope="module")
def evaluated(served, published, tmp_path_factory):
    """`eval.run --push-to-hub` of a few dialogues: its process and the machine's environment."""
    _, machine = served
    environment, output = machine(), tmp_path_factory.mktemp("evaluated") / "results"
    _edit_card(published, tmp_path_factory.mktemp("edited"), "## News\nThis model is nice.")
    flags = ["--model", str(POCKET), "--base", str(ROOT / "models" / "pocket-base"), "--quick", "true"]
    flags += ["--data", str(ROOT / "chat" / "export" / "dialogues.jsonl"), "--generated-replies", "4"]
    flags += ["--output", str(output), "--timed-replies", "1"]
    done = run(environment, "-m", "eval.run", *flags, "--push-to-hub", MODEL[1])
    assert done.returncode == 0, done.stderr
    return done, environment, output, flags


def test_results_go_into_the_card(published, evaluated):
    done, environment, output, _ = evaluated
    assert done.stdout.rstrip().endswith(f"/{MODEL[1]}") and "published to" in done.stdout
    results = json.loads((output / "results.json").read_text())["figures"]
    card = ModelCard(published.contents(MODEL)["README.md"].decode())
    found = {(each.dataset_name, each.metric_type): each.metric_value for each in card.data.eval_results}
    [source] = results
    assert found[source, "perplexity"] == results[source]["model"]["likelihood"]["perplexity"]["value"]
    assert "This model is nice." in card.text and "reply perplexity" in card.text
    loaded = run(environment, "-c", CARD, MODEL[1])
    assert "EvalResult(task_type='text-generation'" in loaded.stdout, loaded.stderr


def test_a_card_is_pushed_again_from_the_results_and_says_no_more_then(published, evaluated):
    _, environment, output, _ = evaluated
    results = json.loads((output / "results.json").read_text())
    [rows] = results["figures"].values()
    rows["model"]["likelihood"]["perplexity"]["value"] = 12345.0
    (output / "results.json").write_text(json.dumps(results))
    commits = len(published.messages(MODEL))
    flags = ["--model", str(POCKET), "--results", str(output), "--output", str(output.parent / "README.md")]
    published.faults.add(f"POST /api/models/{MODEL[1]}/commit", status=500, times=1)
    first, again = (run(environment, "-m", "eval.card", *flags, "--push-to-hub", MODEL[1]) for _ in range(2))
    published.faults.clear()
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert "trying again in" in first.stderr and "published to" in first.stdout
    assert "| 12345.00 (" in published.contents(MODEL)["README.md"].decode()
    assert len(published.messages(MODEL)) == commits + 1


def test_a_destination_is_refused_before_the_evaluation(served, published, evaluated, tmp_path):
    repositories, _ = served
    _, environment, output, flags = evaluated
    other = tmp_path / "other"
    shutil.copytree(ROOT / "models" / "pocket-base", other)
    repositories.import_folder(("model", "someone/other"), other)
    (other / "model.safetensors").unlink()
    repositories.import_folder(("model", "someone/empty"), other)
    shutil.rmtree(output)
    for name, token, problem in (
        ("someone/nowhere", TOKEN, "the Hub has no such repository"),
        ("someone/empty", TOKEN, "holds no model, and these results are of"),
        ("someone/other", TOKEN, "holds other weights, and these results are of"),
        (MODEL[1], "", "no token; set HF_TOKEN"),
        (MODEL[1], "hf_of_nobody", "the Hub refuses the token (401"),
    ):
        done = run({**environment, "HF_TOKEN": token}, "-m", "eval.run", *flags, "--push-to-hub", name)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith(f"error: --push-to-hub {name}: ") and problem in done.stderr
    assert not output.exists()


def test_a_model_of_somebody_else_stays(served, tmp_path):
    repositories, machine = served
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "modules.json").write_text("[]")
    theirs = ("model", "someone/bert")
    repositories.import_folder(theirs, tmp_path)
    before = repositories.contents(theirs)
    flags = ["--model", str(POCKET), "--push-to-hub", theirs[1], "--hub-public", "true"]
    done = run(machine(), "-m", "eval.publish_model", *flags)
    assert done.returncode == 2 and "is another model, which this would overwrite" in done.stderr, done.stderr
    assert repositories.contents(theirs) == before


def test_the_space_of_somebody_who_had_the_name_first_stays(served):
    repositories, machine = served
    for name, file in (("latency", "app.py"), ("bleu", "bleu.py")):
        space = ("space", f"someone/{name}")
        repositories.create(space, sdk="gradio")
        content = base64.b64encode(b"print('mine')").decode()
        operations = [
            {"key": "header", "value": {"summary": "Mine"}},
            {"key": "file", "value": {"path": file, "content": content, "encoding": "base64"}},
        ]
        repositories.commit(space, "main", operations)
        before = repositories.contents(space)
        done = run(machine(), "-m", "eval.publish_metrics", "--push-to-hub", "someone", "--metrics", name)
        assert done.returncode == 2 and "is another Space" in done.stderr
        assert repositories.contents(space) == before


def test_a_published_metric_gives_the_same_figures(served):
    import evaluate

    repositories, machine = served
    done = run(machine(), "-m", "eval.publish_metrics", "--push-to-hub", "someone", "--metrics", "distinct_n")
    assert done.returncode == 0, done.stderr
    space = ("space", "someone/distinct_n")
    assert set(repositories.contents(space)) == {
        "distinct_n.py",
        "requirements.txt",
        "README.md",
        "index.html",
    }
    assert repositories.get(space).settings["sdk"] == "static"
    replies = ["I have two cats.", "I have two dogs, and you?"]
    done = run(machine(""), "-c", METRIC, space[1], json.dumps(replies))
    assert done.returncode == 0, done.stderr
    own = evaluate.load(str(ROOT / "eval" / "metrics" / "distinct_n")).compute(predictions=replies)
    assert json.loads(done.stdout.splitlines()[-1]) == own
