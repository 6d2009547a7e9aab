"""Metrics as Spaces: complete, valid, and with what they import named."""

import sys
from html.parser import HTMLParser

import evaluate
import pytest
from huggingface_hub import RepoCard

from chat.cli import UserError
from eval import publish_metrics
from eval.publish_metrics import METRICS, PublishMetricsArguments, metric_names


def run(monkeypatch, *flags) -> None:
    monkeypatch.setattr(sys, "argv", ["publish_metrics", *map(str, flags)])
    publish_metrics.main()


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metrics") / "spaces"
    with pytest.MonkeyPatch.context() as monkeypatch:
        run(monkeypatch, "--output", folder)
    return folder


def test_every_metric_becomes_a_space(spaces):
    assert [path.name for path in sorted(spaces.iterdir()) if path.is_dir()] == metric_names()
    assert set(metric_names()) == {path.name for path in METRICS.iterdir() if path.name[0] not in "._"}


@pytest.mark.parametrize("name", metric_names())
def test_it_holds_module_requirements_readme_and_page(spaces, name):
    folder = spaces / name
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.py", "requirements.txt", "README.md", "index.html",
    }  # fmt: skip
    assert (folder / f"{name}.py").read_bytes() == (METRICS / name / f"{name}.py").read_bytes()
    card = RepoCard.load(folder / "README.md")
    data = card.data.to_dict()
    assert data["sdk"] == "static" and data["tags"] == ["evaluate", "metric"] and data["emoji"]
    assert f'evaluate.load("USER/{name}")' in card.text and f"# {name}" in card.text
    page = (folder / "index.html").read_text(encoding="utf-8")
    HTMLParser().feed(page)
    assert page.count("<h1>") == 1 and f"USER/{name}" in page and "{{" not in page


def test_requirements_are_what_it_imports(spaces):
    def of(name):
        return (spaces / name / "requirements.txt").read_text().split()

    assert of("distinct_n") == ["datasets", "evaluate"]
    assert of("bleu") == ["datasets", "evaluate", "sacrebleu"]
    assert [each.replace("_", "-") for each in of("rouge_l")] == ["datasets", "evaluate", "rouge-score"]


def test_a_written_space_is_loaded_by_evaluate(spaces):
    figures = evaluate.load(str(spaces / "distinct_n")).compute(predictions=["a b", "a c"])
    assert figures["distinct_1"] == 3 / 4


@pytest.fixture
def published(monkeypatch) -> list:
    """What would be published: the Space, and what the user knows it by."""
    found = []

    def publish_folder(folder, destination, **options):
        found.append((destination.repo_id, options.get("what")))

    monkeypatch.setattr(publish_metrics, "make_space_ready", lambda *_: None)
    monkeypatch.setattr(publish_metrics, "publish_folder", publish_folder)
    return found


def test_a_metric_that_is_named_twice_is_published_once(monkeypatch, published):
    run(monkeypatch, "--push-to-hub", "someone", "--metrics", "distinct_n", "latency", "distinct_n")
    assert [space for space, _ in published] == ["someone/distinct_n", "someone/latency"]


def test_a_metric_is_told_of_by_its_name_and_not_by_a_folder_that_is_gone_then(monkeypatch, published):
    run(monkeypatch, "--push-to-hub", "someone", "--metrics", "distinct_n")
    assert published == [("someone/distinct_n", "distinct_n")]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "--push-to-hub or --output: give a user"),
        ({"push_to_hub": "user/name"}, "--push-to-hub user/name: give USER"),
        ({"output": "x", "metrics": ["magic"]}, "--metrics magic: give some of bleu, "),
    ],
)
def test_bad_flags_are_named(given, problem):
    with pytest.raises(UserError, match=problem):
        PublishMetricsArguments(**given)
