"""FSDP2 and DeepSpeed on two CPU processes: they learn what one process learns, and go on where they stopped.

GPUs, and NCCL between them, are not tried by this.
"""

import dataclasses
import importlib.util
import json
import shutil

import pytest
from safetensors.torch import load_file

from tests.conftest import ROOT, change_json
from tests.processes import launched
from training.train import train

FIGURES = ("step", "loss", "grad_norm", "learning_rate", "eval_loss")


@pytest.fixture
def base(tmp_path, model_folder):
    """Pretrained weights, without dropout: processes draw it each by itself."""
    folder = tmp_path / "base"
    shutil.copytree(model_folder, folder)
    change_json(folder / "config.json", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    return folder


def outcome(folder) -> tuple[list[dict], dict]:
    """What a run logged, and the weights with which it ended."""
    log = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    figures = [{name: entry[name] for name in FIGURES if name in entry} for entry in log]
    return [entry for entry in figures if len(entry) > 1], load_file(folder / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("config", ["fsdp", "deepspeed_zero2", "deepspeed_zero3"])
def test_divided_weights_learn_as_whole_ones_and_a_resume_goes_on(
    short_run, tmp_path, base, monkeypatch, config
):
    if config.startswith("deepspeed") and importlib.util.find_spec("deepspeed") is None:
        pytest.skip("needs deepspeed")
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    path = ROOT / "training" / "configs" / "accelerate" / f"{config}.yaml"

    def run(**changes) -> tuple[list[dict], dict]:
        given = json.dumps({"arguments": dataclasses.asdict(short_run(**settings, **changes))})
        launcher = ("-m", "accelerate.commands.launch", "--config_file", path, "--num_processes", 2)
        here = ("--gpu_ids=-1,-1", "--main_process_port", 0, "-m", "tests.training.workers", "divided")
        done = launched(*launcher, *here, given, timeout=240)
        assert done.returncode == 0, done.stderr
        return outcome(tmp_path / "final")

    settings = {"base": str(base), "max_steps": 4, "eval_every_steps": 2, "save_every_steps": 2}
    log, weights = run()
    shutil.rmtree(tmp_path / "final")
    shutil.rmtree(tmp_path / "run" / "checkpoint-4")
    resumed_log, resumed_weights = run(resume=True)
    assert resumed_log == log
    assert all((resumed_weights[name] == each).all() for name, each in weights.items())

    train(short_run("alone", **settings, per_device_train_batch_size=8))
    expected_log, expected_weights = outcome(tmp_path / "alone" / "final")
    assert weights.keys() == expected_weights.keys()
    assert [entry.keys() for entry in log] == [entry.keys() for entry in expected_log]
    for found, expected in zip(log, expected_log, strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
