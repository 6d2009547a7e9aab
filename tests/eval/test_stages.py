"""A killed evaluation goes on with the stages that it finished."""

import os
import shutil

import pytest

from chat.cli import UserError
from eval import stages
from eval.stages import Stages
from tests.conftest import ROOT, no_room


def test_a_finished_stage_is_not_computed_again(tmp_path):
    output, calls = tmp_path / "out", []

    def compute(value):
        calls.append(value)
        return {"figure": value}

    first = Stages(output, {"seed": 0})
    assert first.run("a", lambda: compute(1)) == {"figure": 1}
    with pytest.raises(ZeroDivisionError):
        first.run("b", lambda: 1 / 0)
    again = Stages(output, {"seed": 0})
    assert again.run("a", lambda: compute(2)) == {"figure": 1}
    assert again.run("b", lambda: compute(3)) == {"figure": 3}
    assert calls == [1, 3]
    again.discard()
    assert Stages(output, {"seed": 0}).run("a", lambda: compute(4)) == {"figure": 4}


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^--output .*out: cannot be written \("):
        Stages(tmp_path / "file" / "out", {})


def test_other_settings_begin_anew(tmp_path):
    Stages(tmp_path / "out", {"seed": 0}).run("a", lambda: 1)
    assert Stages(tmp_path / "out", {"seed": 1}).run("a", lambda: 2) == 2


def test_a_kill_in_mid_writing_leaves_no_stage(tmp_path, monkeypatch):
    def dies(descriptor):
        os.ftruncate(descriptor, 4)
        raise KeyboardInterrupt

    stages = Stages(tmp_path / "out", {})
    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(os, "fsync", dies)
        stages.run("a", lambda: [1, 2, 3])
    assert Stages(tmp_path / "out", {}).run("a", lambda: [4]) == [4]


def test_a_disk_that_is_full_is_told_and_the_finished_stages_stay(tmp_path, monkeypatch):
    stages = Stages(tmp_path / "out", {})
    stages.run("a", lambda: 1)
    with (
        monkeypatch.context() as disk,
        pytest.raises(UserError, match=r"^--output .*out: .* \(No space left"),
    ):
        disk.setattr(os, "fsync", no_room)
        stages.run("b", lambda: 2)
    again = Stages(tmp_path / "out", {})
    assert [again.run("a", lambda: 3), again.run("b", lambda: 4)] == [1, 4]


@pytest.mark.parametrize("module", ["chat/template.py", "chat/hub/loading.py", "eval/formats.py"])
def test_other_code_begins_anew(module, tmp_path, monkeypatch):
    """A changed prompt format, or way to load a model, would else mix figures of two."""
    for package in ("chat", "eval"):
        shutil.copytree(ROOT / package, tmp_path / "code" / package)
    monkeypatch.setattr(stages, "ROOT", tmp_path / "code")
    Stages(tmp_path / "out", {}).run("a", lambda: 1)
    assert Stages(tmp_path / "out", {}).run("a", lambda: 2) == 1
    with open(tmp_path / "code" / module, "a") as code:
        code.write("# changed\n")
    assert Stages(tmp_path / "out", {}).run("a", lambda: 3) == 3
