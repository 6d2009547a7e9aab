"""`make demo`: its commands hand on to each other what they make."""

import re
import shlex
from itertools import pairwise

import yaml

from tests.conftest import ROOT


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
