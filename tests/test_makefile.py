"""`make demo`: its commands hand on to each other what they make. And the environment is made whole."""

import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise

import yaml

from tests.conftest import ROOT


def test_an_environment_without_pip_is_made_anew(tmp_path):
    """As a `venv` leaves it that failed for want of Debian's python3-venv."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    done = subprocess.run(
        ["make", "--dry-run", f"PYTHON={sys.executable}", ".venv/.chat"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert f"{sys.executable} -m venv .venv" in done.stdout, done.stderr


def commands(target: str) -> list[list[str]]:
    """The words of a target's commands, by variables unresolved."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    [recipe] = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    return [shlex.split(line) for line in recipe.splitlines()]


def flags(command: list[str]) -> dict[str, str]:
    return dict(pairwise(command))


def test_each_step_of_the_demo_takes_what_the_one_before_made():
    removed, prepare, train, evaluate, chat = map(flags, commands("demo"))
    recipe = yaml.safe_load((ROOT / train["--config"]).read_text(encoding="utf-8"))
    assert prepare["--output"] == recipe["data"] == evaluate["--data"]
    assert prepare["--tokenizer"] == recipe["base"] == evaluate["--base"]
    assert recipe["final_model_dir"] == evaluate["--model"] == chat["--model"]
    assert removed["-rf"] == recipe["output_dir"]
    modules = [prepare["-m"], train["-m"], evaluate["-m"], chat["-m"]]
    assert modules == ["data_scripts.prepare", "training.train", "eval.run", "chat"]
