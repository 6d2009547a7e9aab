"""Real processes: the loss is the same however the batch is divided, and a killed run loses nothing."""

import dataclasses
import json
import shutil
import signal

import pytest
import torch

from tests.tiny_models import TINY
from tests.training.conftest import flags_of
from tests.training.short_data import of_rows
from tests.training.workers import run_worker, stopped_by_sigterm
from training.checkpoints import checkpoints, last_whole_checkpoint


@pytest.fixture
def no_dropout(tmp_path):
    path = tmp_path / "no_dropout.json"
    path.write_text(json.dumps(TINY | {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}))
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize(("batching", "rows_of_data"), [("random", None), ("packed", None), ("random", 3)])
def test_gradients_do_not_depend_on_how_the_batch_is_divided(
    short_run, no_dropout, tmp_path, prepared, batching, rows_of_data
):
    """One process with 8 rows, 4 rows twice, and two processes with 4 rows each: 1e-5 relative. With only 3
    rows of data, there are none for one of the processes.
    """
    data = of_rows(prepared, tmp_path / "data", rows_of_data)
    found = {}
    for name, processes, rows, accumulation in (("1x8", 1, 8, 1), ("2x4", 1, 4, 2), ("2 processes", 2, 4, 1)):
        output = tmp_path / name
        output.mkdir()
        arguments = short_run(
            name,
            base=no_dropout,
            data=data,
            batching=batching,
            max_steps=1,
            per_device_train_batch_size=rows,
            gradient_accumulation_steps=accumulation,
            max_grad_norm=1e9,
        )
        done = run_worker("gradients", processes, output=str(output), arguments=dataclasses.asdict(arguments))
        assert done.returncode == 0, done.stderr
        files = sorted(output.glob("*.pt"))
        found[name] = [torch.load(file) for file in files]
        assert [each.pop("world_size") for each in found[name]] == [processes] * processes
    [reference] = found["1x8"]
    for gradients in (*found["2x4"], *found["2 processes"]):
        for name, gradient in gradients.items():
            difference = (gradient - reference[name]).norm() / reference[name].norm()
            assert difference < 1e-5, (name, float(difference))


def logged(run) -> list[dict]:
    """What a run logged that must not depend on its interruptions."""
    state = json.loads((checkpoints(run)[-1] / "trainer_state.json").read_text())
    figures = ("step", "loss", "grad_norm", "learning_rate", "eval_loss", "eval_perplexity")
    return [{key: entry[key] for key in figures if key in entry} for entry in state["log_history"]]


@pytest.fixture(scope="module")
def whole_run_settings():
    """Two epochs of 15 steps; log lines, evaluations and checkpoints fall on different steps."""
    return {
        "num_train_epochs": 2.0,
        "max_steps": -1,
        "per_device_train_batch_size": 31,
        "log_every_steps": 4,
        "eval_every_steps": 6,
        "save_every_steps": 5,
        "batching": "grouped",
        "early_stopping_patience": 3,
        "tensorboard": True,
    }


@pytest.mark.slow
def test_a_run_that_is_killed_anywhere_ends_like_one_that_never_was(short_run, whole_run_settings, tmp_path):
    """To the bit: weights and logged figures. Each moment is hit in a run of its own, then resumed."""
    moments = (
        ("step", 13),
        ("step", 16),
        ("evaluation", 5),
        ("save", 2),
        ("optimizer file", 9),
        ("epoch", 4),
    )

    def arguments(name: str, **changes) -> dict:
        return dataclasses.asdict(short_run(name, **whole_run_settings, **changes))

    def weights(name: str) -> bytes:
        return (tmp_path / name / "final" / "model.safetensors").read_bytes()

    unbroken = run_worker("killed", moment="step", count=-1, arguments=arguments("unbroken"))
    assert unbroken.returncode == 0, unbroken.stderr
    for moment, count in moments:
        name = f"{moment} {count}"
        died = run_worker("killed", moment=moment, count=count, arguments=arguments(name))
        assert died.returncode == -signal.SIGKILL, (name, died.stderr)
        assert not (tmp_path / name / "final").exists()
        done = run_worker("killed", moment="step", count=-1, arguments=arguments(name, resume=True))
        assert done.returncode == 0, (name, done.stderr)
        assert "resuming from" in done.stderr, name
        assert weights(name) == weights("unbroken"), name
        assert logged(tmp_path / name / "run") == logged(tmp_path / "unbroken" / "run"), name


@pytest.mark.slow
def test_a_resume_on_machines_that_share_no_disk_is_refused(short_run, tmp_path, prepared):
    from training.train import train

    train(short_run(max_steps=2, output_dir=str(tmp_path / "run-0")))
    for machine in range(2):
        shutil.copytree(prepared, tmp_path / f"data-{machine}")
    arguments = dataclasses.asdict(short_run(max_steps=4, resume=True, data=str(tmp_path / "data")))
    done = run_worker("own disks", processes=2, arguments=arguments)
    assert done.returncode != 0
    assert (
        "different checkpoints in --output-dir (checkpoint-2, none); give all the same command" in done.stderr
    )
    assert [path.name for path in checkpoints(tmp_path / "run-0")] == ["checkpoint-2"]


@pytest.mark.slow
def test_machines_that_prepared_different_data_do_not_train_together(short_run, tmp_path, prepared):
    from datasets import load_from_disk

    shutil.copytree(prepared, tmp_path / "data-0")
    shutil.copytree(prepared, tmp_path / "data-1")
    rows = load_from_disk(str(prepared))
    rows["train"] = rows["train"].select(range(len(rows["train"]) - 1))
    rows.save_to_disk(str(tmp_path / "data-1"))
    arguments = dataclasses.asdict(short_run(data=str(tmp_path / "data")))
    done = run_worker("own disks", processes=2, arguments=arguments)
    assert done.returncode != 0
    assert "error: --data: the processes read different data; prepare it once" in done.stderr
    assert not checkpoints(tmp_path / "run-0")


@pytest.mark.slow
def test_sigterm_saves_and_a_resume_ends_with_the_same_weights(short_run, tmp_path):
    settings = {"max_steps": 60, "save_every_steps": 50, "eval_every_steps": 50, "log_every_steps": 1}

    def arguments(name: str, **changes) -> dict:
        return dataclasses.asdict(short_run(name, **settings, **changes))

    assert run_worker("killed", moment="step", count=-1, arguments=arguments("unbroken")).returncode == 0
    stopped_by_sigterm(*flags_of(short_run("stopped", **settings))[1:])
    stopped_at = last_whole_checkpoint(tmp_path / "stopped" / "run")
    assert stopped_at is not None and stopped_at.name != "checkpoint-50"
    assert not (tmp_path / "stopped" / "final").exists()
    done = run_worker("killed", moment="step", count=-1, arguments=arguments("stopped", resume=True))
    assert done.returncode == 0, done.stderr
    files = [tmp_path / name / "final" / "model.safetensors" for name in ("unbroken", "stopped")]
    assert files[0].read_bytes() == files[1].read_bytes()
