"""By what checkpoints are told to be of one run, also those that older versions wrote."""

import json
from pathlib import Path

import pytest

from training.runs import run_of, write_id
from training.train import train

FIRST, SECOND = {"step": 1, "loss": 4.25, "grad_norm": float("nan")}, {"step": 50, "loss": 3.5}


def written(folder: Path, run_id: str | None, *log: dict) -> Path:
    folder.mkdir()
    write_id(run_id, folder)
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    return folder


@pytest.mark.parametrize(
    ("here", "there", "is_one"),
    [
        pytest.param(("a", FIRST), ("a", FIRST, SECOND), True, id="one id"),
        pytest.param(("a", FIRST), ("b", FIRST), False, id="two ids"),
        pytest.param((None, FIRST), (None, FIRST, SECOND), True, id="one beginning"),
        pytest.param((None, FIRST, SECOND), ("a", FIRST, SECOND | {"loss": 3.6}), True, id="parted since"),
        pytest.param((None, FIRST), (None, FIRST | {"loss": 4.5}, SECOND), False, id="two beginnings"),
        pytest.param((None, {"step": 1, "eval_loss": 3.0}), (None, FIRST), True, id="nothing in common"),
    ],
)
def test_one_run_has_one_id_or_one_beginning(here, there, is_one, tmp_path):
    first, second = run_of(written(tmp_path / "here", *here)), run_of(written(tmp_path / "there", *there))
    assert first.may_be(second) is is_one and second.may_be(first) is is_one


def test_a_run_has_one_id_however_often_it_is_resumed(short_run, tmp_path):
    def found(step: int, folder: str = "run") -> str | None:
        return run_of(tmp_path / folder / f"checkpoint-{step}").id

    train(short_run(max_steps=2))
    train(short_run(max_steps=4, resume=True))
    train(short_run(max_steps=2, output_dir=str(tmp_path / "other")))
    assert found(2) == found(4) != found(2, "other")
    for path in (tmp_path / "run").glob("checkpoint-*/run.json"):
        path.unlink()
    train(short_run(max_steps=6, resume=True))
    assert found(6) is None and found(2, "other")
