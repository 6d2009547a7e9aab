"""The launch configurations: accelerate takes each, and the one of two CPU processes really runs two."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.processes import without_told_device

CONFIGS = sorted((ROOT / "training" / "configs" / "accelerate").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_accelerate_takes_it(path):
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    config = load_config_from_file(str(path))
    assert config.num_processes >= 1 and config.mixed_precision == "no"
    command = ["--config_file", str(path), "-m", "training.train"]
    if config.use_cpu or config.distributed_type in ("FSDP", "DEEPSPEED"):
        arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(command))
        assert arguments.num_processes == config.num_processes
        assert arguments.use_fsdp == (path.stem == "fsdp")
        assert arguments.use_deepspeed == path.stem.startswith("deepspeed")
        # Of torchrun's processes CUDA hides the GPUs, for which Accelerate does nothing.
        assert not (config.use_cpu and arguments.multi_gpu) or set(arguments.gpu_ids.split(",")) == {"-1"}


def test_the_readme_names_each():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert CONFIGS and all(f"`{path.name}`" in readme for path in CONFIGS)


@pytest.mark.slow
def test_two_processes_train_on_the_cpu(short_run, tmp_path):
    arguments = short_run(max_steps=4)
    flags = [
        item
        for name in ("data", "base", "output_dir", "final_model_dir", "max_steps", "save_every_steps")
        for item in (f"--{name}", str(getattr(arguments, name)))
    ]
    config = ROOT / "training" / "configs" / "accelerate" / "cpu_two_processes.yaml"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)),
            *("--main_process_port", "0", "-m", "training.train", *flags, "--tensorboard", "false"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=without_told_device(),
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    checkpoint = tmp_path / "run" / "checkpoint-4"
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in checkpoint.iterdir()}
    assert (tmp_path / "final" / "model.safetensors").is_file()
