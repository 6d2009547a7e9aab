"""The Space's folder: all that the page needs and nothing else, with a README that the Hub can read."""

import re
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import RepoCard
from packaging.requirements import Requirement

from chat.cli import UserError, parse_arguments
from chat.hub.secrets import refuse_tokens
from chat.space.__main__ import main
from chat.space.arguments import SpaceArguments
from chat.space.card import WRITTEN_BY_US, SpaceModel, render_card
from chat.space.folder import gradio_version, model_files, package_files
from chat.space.model import checked_model
from chat.space.publish import make_space
from tests.conftest import ROOT

COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def make(monkeypatch, *flags: str) -> None:
    monkeypatch.setattr(sys, "argv", ["space", *map(str, flags)])
    main()


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = tmp_path_factory.mktemp("made") / "space"
        make(monkeypatch, "--output", folder)
    return folder


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def requirements_of(file: Path) -> dict[str, Requirement]:
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line[0] not in "#-"]
    return {each.name: each for each in map(Requirement, lines)}


def test_it_holds_what_the_page_needs_and_nothing_but_what_is_ours(space):
    found = files_of(space)
    code = {path for path in found if path.startswith("chat/")}
    model = {path for path in found if path.startswith("models/pocket/")}
    texts = {"README.md", "LICENSE", "requirements.txt", "pre-requirements.txt"}
    assert found == {"app.py"} | code | model | texts
    assert {"chat/page/layout.py", "chat/chat_template.jinja", "chat/export/dialogues.jsonl"} <= code
    assert code == {path.relative_to(ROOT).as_posix() for path in package_files(ROOT / "chat")}
    assert {path.rpartition(".")[2] for path in code} == {"py", "js", "css", "jinja", "jsonl"}
    assert "models/pocket/openvino/openvino_model.bin" in model
    assert not [path for path in model if re.search(r"(train|prefer)\w*_(arguments|state)|\.jsonl", path)]
    for path in found - texts:
        assert (space / path).read_bytes() == (ROOT / path).read_bytes(), path


def test_what_somebody_keeps_beside_the_code_is_not_uploaded(tmp_path):
    ours = {"__init__.py", "words.txt", "one/__init__.py", "one/two.py"}
    others = {"one/two.pyi", "one/.env", "feedback/talk.jsonl", "__pycache__/one.pyc", ".git/config"}
    for path in ours | others:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert {path.relative_to(tmp_path).as_posix() for path in package_files(tmp_path)} == ours
    (tmp_path / "openvino" / "cache").mkdir(parents=True)
    assert not model_files(tmp_path)


def test_a_models_links_publish_nothing_that_lies_elsewhere(tmp_path):
    private, model = tmp_path / "private", tmp_path / "model"
    for folder in (private, model):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    (model / "openvino").symlink_to(private)
    with pytest.raises(UserError, match=r"--model .*: openvino/config\.json is a link to .*private/config"):
        model_files(model)


def test_its_readme_is_valid_front_matter(space):
    card = RepoCard.load(space / "README.md")
    data = card.data.to_dict()
    assert data["title"] == "GPT-2 chat" and len(data["emoji"]) == 1 and not data["emoji"].isascii()
    assert {data["colorFrom"], data["colorTo"]} <= COLORS
    assert data["sdk"] == "gradio" and data["app_file"] == "app.py" and (space / "app.py").is_file()
    assert data["sdk_version"] == version("gradio")
    assert tuple(map(int, data["python_version"].split("."))) >= (3, 11)
    assert data["suggested_hardware"] == "cpu-basic" and len(data["short_description"]) <= 60
    # What lies in the Space has the terms of what it learnt from, and is no model of the Hub's.
    assert data["license"] == "other" and data["license_name"]
    assert not {"models", "preload_from_hub"} & set(data)
    assert "Cornell" in card.text and "free" not in card.text
    # The server's memory has replies, too.
    assert "writes nothing down unless you" in card.text and "nowhere else" not in card.text


@pytest.mark.parametrize(
    ("private", "gated"), [(False, False), (True, False), (False, "manual"), (False, "auto")]
)
def test_a_model_that_only_some_may_see_is_private(monkeypatch, private, gated):
    """The Hub builds a Space as nobody, who could not download it."""
    found = SimpleNamespace(private=private, gated=gated, card_data=None)
    hub = SimpleNamespace(model_info=lambda name: found)
    monkeypatch.setattr("chat.space.model.hub_api", lambda: hub)
    monkeypatch.setattr("chat.space.model.load_chat_tokenizer", lambda *given: None)
    model = checked_model("user/model")
    assert model.is_private == bool(private or gated) and model.datasets == ()
    # Its tokenizer may be in the cache.
    monkeypatch.setattr(hub, "model_info", lambda name: 1 / 0)
    with pytest.raises(UserError, match=r"^--model user/model: "):
        checked_model("user/model")


def test_a_models_card_may_name_one_dataset_or_several_and_one_that_cannot_be_read_is_named(
    model_folder, tmp_path
):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    for datasets, expected in (
        ("user/one", ("user/one",)),
        ("[user/one, user/two]", ("user/one", "user/two")),
    ):
        (folder / "README.md").write_text(f"---\ndatasets: {datasets}\n---\n")
        assert checked_model(str(folder)).datasets == expected
    (folder / "README.md").write_text("---\ndatasets: [\n---\n")
    with pytest.raises(UserError, match=r"model/README.md: its metadata cannot be read \(.+\); mend it$"):
        checked_model(str(folder))


def test_weights_that_no_page_could_load_are_told_before_anything_is_written(
    model_folder, tmp_path, monkeypatch
):
    """As git leaves them without LFS."""
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(UserError, match=r"^--model \S+model: no usable model \(.*header.*\); give a folder"):
        make(monkeypatch, "--model", folder, "--output", tmp_path / "space")
    assert not (tmp_path / "space").exists()


@pytest.mark.parametrize("is_private", [False, True])
def test_a_model_of_the_hub_is_named_and_preloaded_if_the_hub_may_see_it(is_private):
    model = SpaceModel("user/model", "https://hub/user/model", is_private, ("user/data",))
    card = render_card(model, title="Chat", space="user/space", sdk_version="6.31.0", hardware="cpu-basic")
    data = card.data.to_dict()
    assert data["models"] == ["user/model"] and data["datasets"] == ["user/data"]
    assert data.get("preload_from_hub") == (None if is_private else ["user/model"])
    assert (
        data["license"] == "apache-2.0"
        and "license_name" not in data
        and "[user/model](https://hub/user/model)" in card.text
    )
    [snippet] = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
    compile(snippet, "README.md", "exec")
    assert 'Client("user/space")' in snippet


def test_what_it_installs_does_not_contradict_the_readme(space):
    own, ours = requirements_of(space / "requirements.txt"), requirements_of(ROOT / "requirements.txt")
    assert str(own["gradio"].specifier) == f"=={version('gradio')}" and own["gradio"].extras == {"mcp"}
    assert list(own) == list(ours)
    assert all(str(own[name]) == str(ours[name]) for name in own if name != "gradio")
    first = space / "pre-requirements.txt"
    assert "--index-url https://download.pytorch.org/whl/cpu\n" in first.read_text()
    # The build that is there already must satisfy the requirement, or the other one would take its place.
    assert own["torch"].specifier.contains("2.13.0+cpu") and requirements_of(first)["torch"] == own["torch"]


def test_a_gradio_that_the_requirements_do_not_allow_is_refused(tmp_path, monkeypatch):
    (tmp_path / "requirements.txt").write_text("# The page\ngradio[mcp]==6.0.0\n")
    monkeypatch.setattr("chat.space.folder.ROOT", tmp_path)
    with pytest.raises(
        UserError, match=r"^gradio .+ is installed, but requirements.txt asks for gradio.mcp.=="
    ):
        gradio_version()


def test_hardware_with_a_gpu_gets_the_default_build_of_torch(monkeypatch, model_folder, tmp_path):
    make(
        monkeypatch,
        "--output",
        tmp_path / "space",
        "--hardware",
        "t4-small",
        "--model",
        model_folder,
        "--title",
        "x" * 60,
    )
    found = files_of(tmp_path / "space")
    assert "pre-requirements.txt" not in found and "final_model/model.safetensors" in found
    assert RepoCard.load(tmp_path / "space" / "README.md").data["suggested_hardware"] == "t4-small"


def test_a_folder_is_replaced_only_if_it_is_a_space(monkeypatch, space, tmp_path):
    (space / "chat" / "old.py").write_text("")
    make(monkeypatch, "--output", space)
    assert not (space / "chat" / "old.py").exists()
    (tmp_path / "README.md").write_text("# Mine")
    (tmp_path / "app.py").write_text("")
    # Before anything is asked of the Hub, and made there.
    monkeypatch.setattr("chat.space.publish.checked_model", lambda *given: pytest.fail("asked"))
    with pytest.raises(UserError, match=r"already holds something else \(no `README.md` of ours\)"):
        make(monkeypatch, "--output", tmp_path)
    clone = tmp_path / "clone"
    clone.mkdir()
    shutil.copy(ROOT / "README.md", clone)
    with pytest.raises(UserError, match=r"already holds something else \(no `README.md` of ours\)"):
        make(monkeypatch, "--output", clone)
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    with pytest.raises(UserError, match=r"already holds something else \(no `README.md` of ours\)"):
        make(monkeypatch, f"--output=~/{tmp_path.name}")
    assert (tmp_path / "README.md").read_text() == "# Mine"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (SpaceModel("final_model"), [WRITTEN_BY_US, "upload", "final_model"]),
        (SpaceModel("user/model", "https://hub/user/model"), [WRITTEN_BY_US, "user/model", "upload"]),
    ],
)
def test_the_page_finds_its_model_at_any_moment(monkeypatch, model, expected):
    """One that is uploaded is there before the page looks for it, and gone only after."""
    steps = []

    def upload(folder, destination, *, message, ours, what):
        assert destination.space_sdk == "gradio" and destination.public
        assert {"app.py", "chat/*", "final_model/*", "models/pocket/*", "pre-requirements.txt"} <= {*ours}
        assert 'Client("someone/chat")' in (folder / "README.md").read_text(encoding="utf-8")
        steps.append("upload")

    for name, step in {
        "checked_model": lambda *given: model,
        "make_space_ready": lambda destination, mark: steps.append(mark),
        "publish_folder": upload,
        "set_variable": lambda destination, name, value: steps.append(value),
    }.items():
        monkeypatch.setattr(f"chat.space.publish.{name}", step)
    make_space(SpaceArguments(push_to_hub="someone/chat"))
    assert steps == expected


def test_a_token_in_a_file_is_refused_and_not_shown(monkeypatch, model_folder, tmp_path):
    shutil.copytree(model_folder, tmp_path / "model")
    token = "hf_" + "aB3" * 12
    (tmp_path / "model" / "notes.json").write_text(f'{{"login": "{token}"}}')
    with pytest.raises(UserError, match=r"final_model/notes.json: holds a token") as error:
        make(monkeypatch, "--output", tmp_path / "space", "--model", tmp_path / "model")
    assert token not in str(error.value)


def test_ones_own_token_is_refused_whatever_it_looks_like(monkeypatch, tmp_path):
    """As of a job, or of a Hub of one's own."""
    (tmp_path / "app.py").write_text('TOKEN = "oidc.OfAJob-123"')
    refuse_tokens(tmp_path)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "oidc.OfAJob-123")
    with pytest.raises(UserError, match=r"^app.py: holds a token") as error:
        refuse_tokens(tmp_path)
    assert "OfAJob" not in str(error.value)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ([], "--push-to-hub or --output: give a Space"),
        (["--output", "x", "--title", " "], "--title: give 1 to 60 characters"),
        (["--output", "x", "--title", "x" * 61], "--title: give 1 to 60 characters"),
        (["--output", "x", "--hardware", "toaster"], "--hardware toaster: give one of cpu-basic,"),
    ],
)
def test_bad_flags_are_named(flags, problem):
    with pytest.raises(UserError, match=re.escape(problem)):
        parse_arguments(SpaceArguments, flags)


def test_a_model_that_cannot_chat_is_refused(monkeypatch, tmp_path):
    with pytest.raises(UserError, match="pocket-base: was not trained in this project's chat format"):
        make(monkeypatch, "--output", tmp_path / "space", "--model", ROOT / "models" / "pocket-base")
    with pytest.raises(UserError, match="--push-to-hub space: not a space's id; give USER/NAME"):
        make(monkeypatch, "--push-to-hub", "space")
