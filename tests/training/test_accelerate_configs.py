"""The launch configurations: what accelerate starts by each, and the one of two CPU processes in earnest."""

import pytest

from tests.conftest import ROOT
from tests.processes import launched

FOLDER = ROOT / "training" / "configs" / "accelerate"
CONFIGS = sorted(FOLDER.glob("*.yaml"))

FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_OFFLOAD_PARAMS": "false",
}
DEEPSPEED = {
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_DEEPSPEED_ZERO3_INIT": "false",
    "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE": "none",
    "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "none",
}
ZERO_STAGE, SAVES_WHOLE = "ACCELERATE_DEEPSPEED_ZERO_STAGE", "ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL"
TOLD = {"ACCELERATE_USE_CPU", "CUDA_VISIBLE_DEVICES", ZERO_STAGE, SAVES_WHOLE, *FSDP, *DEEPSPEED}
# Of each configuration: the launcher, machines, processes on each, and which of `TOLD` these are told.
LAUNCHES = {
    "cpu": ("simple", 1, 1, {"ACCELERATE_USE_CPU": "True"}),
    # Of torchrun's processes CUDA hides the GPUs, for which Accelerate does nothing.
    "cpu_two_processes": ("multi_gpu", 1, 2, {"CUDA_VISIBLE_DEVICES": "-1,-1"}),
    "one_gpu": ("simple", 1, 1, {"ACCELERATE_USE_CPU": "False"}),
    "several_gpus": ("multi_gpu", 1, 8, {}),
    "several_nodes": ("multi_gpu", 2, 8, {}),
    "fsdp": ("multi_gpu", 1, 8, FSDP),
    "deepspeed_zero2": ("deepspeed", 1, 8, {**DEEPSPEED, ZERO_STAGE: "2"}),
    "deepspeed_zero3": ("deepspeed", 1, 8, {**DEEPSPEED, ZERO_STAGE: "3", SAVES_WHOLE: "true"}),
}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_accelerate_takes_it(path):
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    config = load_config_from_file(str(path))
    assert config.num_processes >= 1 and config.mixed_precision == "no"
    command = ["--config_file", str(path), "-m", "training.train"]
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(command))
    assert arguments.num_processes == config.num_processes
    assert arguments.use_fsdp == (path.stem == "fsdp")
    assert arguments.use_deepspeed == path.stem.startswith("deepspeed")
    assert not (config.use_cpu and arguments.multi_gpu) or set(arguments.gpu_ids.split(",")) == {"-1"}


def as_launched(monkeypatch, *flags: str):
    """The launcher that `accelerate launch` calls, its arguments, and what it tells its processes."""
    from accelerate.commands import launch
    from accelerate.utils import launch as prepare

    preparations = {
        "simple": lambda arguments: prepare.prepare_simple_launcher_cmd_env(arguments)[1],
        "multi_gpu": prepare.prepare_multi_gpu_env,
        "deepspeed": lambda arguments: prepare.prepare_deepspeed_cmd_env(arguments)[1],
    }
    called = []
    for name in preparations:
        monkeypatch.setattr(launch, f"{name}_launcher", lambda given, name=name: called.append((name, given)))
    for name in TOLD:
        monkeypatch.delenv(name, raising=False)
    command = [*flags, "--main_process_port", "0", "-m", "training.train"]
    launch.launch_command(launch.launch_command_parser().parse_args(command))
    [(launcher, arguments)] = called
    environment = preparations[launcher](arguments)
    return launcher, arguments, {name: environment[name] for name in TOLD & environment.keys()}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_it_starts_the_processes_that_the_readme_tells_of(path, monkeypatch):
    launcher, machines, processes, told = LAUNCHES[path.stem]
    found, arguments, found_told = as_launched(monkeypatch, "--config_file", str(path))
    assert (found, found_told) == (launcher, told)
    assert (arguments.num_machines, arguments.num_processes) == (machines, machines * processes)
    if launcher != "simple":
        assert int(arguments.nproc_per_node) == processes
    if machines > 1:
        assert int(arguments.nnodes) == machines


def test_fewer_gpus_are_told_by_a_flag(monkeypatch):
    for name in ("several_gpus", "fsdp", "deepspeed_zero2", "deepspeed_zero3"):
        config = ("--config_file", str(FOLDER / f"{name}.yaml"), "--num_processes", "4")
        _, arguments, told = as_launched(monkeypatch, *config)
        assert (arguments.nproc_per_node, told) == ("4", LAUNCHES[name][3])


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
    launcher = ("-m", "accelerate.commands.launch", "--config_file", FOLDER / "cpu_two_processes.yaml")
    command = ("--main_process_port", 0, "-m", "training.train", *flags, "--tensorboard", "false")
    done = launched(*launcher, *command, timeout=240)
    assert done.returncode == 0, done.stderr
    checkpoint = tmp_path / "run" / "checkpoint-4"
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in checkpoint.iterdir()}
    assert (tmp_path / "final" / "model.safetensors").is_file()
