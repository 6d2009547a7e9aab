"""Which exports are taken, and which are made anew; what is exported here is a file that says so."""

import json
import shutil
import threading
import time

import pytest

from chat.cli import UserError
from chat.export import cache


class Exporter:
    """Writes exports of two files, and counts them."""

    def __init__(self):
        self.made = 0

    def __call__(self, folder):
        self.made += 1
        (folder / "openvino_model.xml").write_text("<graph/>")
        (folder / "openvino_model.bin").write_bytes(b"weights")


@pytest.fixture
def export():
    return Exporter()


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("GPT2_CHAT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def exported(model, export):
    return cache.exported_folder(model, "int8", "--model", export)


def test_an_export_is_made_once_and_again_for_other_weights(model, export):
    folder = exported(model, export)
    assert exported(model, export) == folder and export.made == 1
    assert json.loads((folder / "export.json").read_text())["files"] == {
        "openvino_model.bin": 7,
        "openvino_model.xml": 8,
    }
    (model / "model.safetensors").write_bytes(b"others!")
    assert exported(model, export) != folder and export.made == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "openvino_model.bin").write_bytes(b"weig"),
        lambda folder: (folder / "openvino_model.xml").unlink(),
        lambda folder: (folder / "export.json").unlink(),
        lambda folder: (folder / "export.json").write_text('{"fingerprint": "'),
        lambda folder: (folder / "export.json").write_text(
            (folder / "export.json").read_text().replace('"files": {', '"files": [], "others": {')
        ),
    ],
)
def test_a_kept_export_that_is_not_whole_is_made_anew(model, export, damage):
    folder = exported(model, export)
    damage(folder)
    assert exported(model, export) == folder and export.made == 2
    assert (folder / "openvino_model.bin").read_bytes() == b"weights"
    assert exported(model, export) == folder and export.made == 2


def test_an_export_that_notes_no_sizes_is_still_taken(model, export):
    folder = exported(model, export)
    recorded = json.loads((folder / "export.json").read_text())
    del recorded["files"]
    (folder / "export.json").write_text(json.dumps(recorded))
    assert exported(model, export) == folder and export.made == 1


def test_an_export_beside_the_weights_is_taken_and_refused_where_it_is_not_whole(model, export):
    shipped = model / "openvino"
    shutil.copytree(exported(model, export), shipped)
    assert exported(model, export) == shipped and export.made == 1
    (shipped / "openvino_model.bin").write_bytes(b"weig")
    with pytest.raises(
        UserError,
        match=rf"^--model {model}: its `openvino` is not whole \(files are missing, or cut short\); make it "
        rf"anew with `python -m chat.export --model {model} --to openvino`, or remove it$",
    ):
        exported(model, export)


@pytest.mark.parametrize(("named", "told"), [("", "(not set)"), ("~nobody-here/x", "~nobody-here/x")])
def test_without_a_home_the_variable_is_named(model, export, monkeypatch, named, told):
    def unknown(user):
        raise KeyError(user)

    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GPT2_CHAT_CACHE", named)
    for function in ("getpwuid", "getpwnam"):
        monkeypatch.setattr(f"pwd.{function}", unknown)
    with pytest.raises(UserError) as error:
        exported(model, export)
    assert str(error.value).startswith(f"GPT2_CHAT_CACHE {told}: there is no such home folder")


def test_who_waits_for_another_process_says_so(model, export, capsys):
    folder = exported(model, export)
    (folder / "export.json").unlink()
    capsys.readouterr()
    with cache._alone(folder):
        waiting = threading.Thread(target=exported, args=(model, export))
        waiting.start()
        deadline = time.monotonic() + 30
        while not (told := capsys.readouterr().err) and time.monotonic() < deadline:
            time.sleep(0.01)
    waiting.join()
    assert told.startswith("Waiting for the process that makes") and export.made == 2


def test_a_link_to_weights_that_are_not_there_is_named(model, export):
    (model / "model-2.safetensors").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"^--model .*model: model-2.safetensors cannot be read \(No"):
        exported(model, export)
