"""Which checkpoints count."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from chat.cli import UserError
from tests.conftest import refused
from tests.tiny_models import TINY
from tests.training.divided import as_zero3_leaves_them
from training.callbacks import RotateCheckpoints
from training.checkpoints import (
    check_same_model,
    check_undamaged,
    checkpoints,
    discard_halves,
    last_whole_checkpoint,
    rotate,
    step_of,
)
from training.model import build_model


def checkpoint(output_dir, step, state):
    folder = output_dir / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    if state is not None:
        (folder / "trainer_state.json").write_text(state)
    return folder


def test_the_last_whole_one_is_found_by_number(tmp_path):
    whole = [checkpoint(tmp_path, step, json.dumps({"global_step": step})) for step in (900, 1000)]
    checkpoint(tmp_path, 1100, None)
    checkpoint(tmp_path, 1200, '{"global_step": 12')
    checkpoint(tmp_path, 1300, json.dumps({"global_step": 1200}))
    checkpoint(tmp_path, 1400, "{}")
    checkpoint(tmp_path, 1500, "[]")
    (tmp_path / "checkpoint-best").mkdir()
    assert last_whole_checkpoint(tmp_path) == whole[1]
    assert [path.name.rpartition("-")[2] for path in checkpoints(tmp_path)] == [
        "900",
        "1000",
        "1100",
        "1200",
        "1300",
        "1400",
        "1500",
    ]


WHOLE = SimpleNamespace(is_fsdp_enabled=False, is_deepspeed_enabled=False)


@pytest.fixture
def resumable(tmp_path):
    """A checkpoint with files of all kinds that a resume reads."""
    folder = checkpoint(tmp_path, 10, json.dumps({"global_step": 10}))
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        torch.save({"state": torch.zeros(2)}, folder / name)
    save_file({"weight": torch.zeros(2)}, folder / "model.safetensors")
    (folder / "run.json").write_text("{}")
    check_undamaged(folder, WHOLE)
    return folder


@pytest.mark.parametrize(
    "name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "model.safetensors", "run.json"]
)
@pytest.mark.parametrize("content", [b"", b"[]", bytes(100), None])
def test_what_is_damaged_is_told_before_anything_is_loaded(resumable, name, content):
    """As a disk leaves it after a power failure."""
    whole = (resumable / name).read_bytes()
    (resumable / name).write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(
        UserError, match=r"^--resume: .*-10 is not whole \(.*\); remove it, and give"
    ) as error:
        check_undamaged(resumable, WHOLE)
    assert f"({name}: " in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "model.safetensors"])
def test_without_its_optimizer_or_schedule_no_run_goes_on(resumable, name):
    """The Trainer would begin new ones, and say nothing; what FSDP and DeepSpeed divide has other names."""
    (resumable / name).unlink()
    told = rf"-10 is not whole \(no .*{(resumable / name).suffix}\); remove it, and give the same command"
    with pytest.raises(UserError, match=told):
        check_undamaged(resumable, WHOLE)
    check_undamaged(resumable, SimpleNamespace(is_fsdp_enabled=True, is_deepspeed_enabled=False))
    check_undamaged(resumable, SimpleNamespace(is_fsdp_enabled=False, is_deepspeed_enabled=True))


def test_nothing_is_found_where_nothing_is(tmp_path):
    assert last_whole_checkpoint(tmp_path / "nowhere") is None


def test_halves_and_the_half_deleted_are_discarded(tmp_path):
    whole = checkpoint(tmp_path, 10, json.dumps({"global_step": 10}))
    checkpoint(tmp_path, 20, None)
    checkpoint(tmp_path, 30, json.dumps({"global_step": 30})).rename(tmp_path / ".deleting-checkpoint-30")
    discard_halves(tmp_path)
    assert list(tmp_path.iterdir()) == [whole]


@pytest.mark.parametrize(
    ("limit", "best", "left"),
    [
        (2, None, [30, 40]),
        (1, 10, [10, 40]),
        (1, 40, [40]),
        (3, 10, [10, 20, 30, 40]),
        (9, None, [10, 20, 30, 40]),
    ],
)
def test_rotation_keeps_the_newest_and_the_best(tmp_path, limit, best, left):
    for step in (10, 20, 30, 40):
        checkpoint(tmp_path, step, json.dumps({"global_step": step}))
    rotate(tmp_path, limit, best)
    assert len(list(tmp_path.iterdir())) == len(left), "what is deleted leaves no disk space taken"
    assert [int(path.name.rpartition("-")[2]) for path in checkpoints(tmp_path)] == left


@pytest.mark.parametrize(
    ("limit", "best", "left"),
    [(2, None, [30, 40]), (1, 10, [10, 40]), (1, 40, [40]), (9, None, [10, 20, 30, 40])],
)
def test_on_a_disk_of_its_own_a_machine_keeps_parts_of_what_the_first_one_keeps(tmp_path, limit, best, left):
    # The last two are of an earlier run.
    for step in (10, 20, 30, 40, 50, 60):
        (checkpoint(tmp_path, step, None) / "rng_state_1.pth").touch()
    others = SimpleNamespace(output_dir=str(tmp_path), should_save=False)
    RotateCheckpoints(limit).on_save(others, SimpleNamespace(global_step=40, best_global_step=best), None)
    assert [*map(step_of, checkpoints(tmp_path))] == left
    assert len([*tmp_path.iterdir()]) == len(left)


def test_on_a_shared_disk_the_others_leave_rotation_to_the_first_process(tmp_path, monkeypatch):
    for step in (10, 20, 30):
        checkpoint(tmp_path, step, json.dumps({"global_step": step}))
    # The newest, of which the state is still to come, and one that the first process deletes meanwhile.
    found = [*checkpoints(tmp_path), checkpoint(tmp_path, 40, None), tmp_path / "checkpoint-5"]
    monkeypatch.setattr("training.checkpoints.checkpoints", lambda _: sorted(found, key=step_of))
    others = SimpleNamespace(output_dir=str(tmp_path), should_save=False)
    state = SimpleNamespace(global_step=40, best_global_step=None)
    RotateCheckpoints(1).on_save(others, state, None)
    assert sorted(tmp_path.iterdir()) == found[:4]


def test_a_kill_while_a_checkpoint_is_deleted_leaves_nothing_that_looks_whole(tmp_path, monkeypatch):
    for step in (10, 20):
        checkpoint(tmp_path, step, json.dumps({"global_step": step}))
    with monkeypatch.context() as killed:
        killed.setattr("training.checkpoints.shutil.rmtree", lambda *_, **__: None)
        rotate(tmp_path, 1, None)
    assert [*map(step_of, checkpoints(tmp_path))] == [20]
    discard_halves(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-20"]


def test_a_checkpoint_of_a_model_with_more_layers_is_named(tmp_path, model_folder, tokenizer):
    folder = checkpoint(tmp_path, 10, "{}")
    shutil.copy(model_folder / "model.safetensors", folder)
    fewer = tmp_path / "fewer.json"
    fewer.write_text(json.dumps(TINY | {"n_layer": 1}))
    with pytest.raises(
        UserError, match=r"of another model than --base \(`transformer\.h\.1\..* missing here"
    ):
        check_same_model(folder, build_model(str(fewer), tokenizer, longest_sequence=8))


@pytest.mark.parametrize("divided", [False, True])
def test_a_checkpoint_of_another_model_is_named(
    tmp_path, model_folder, tiny_config_file, tokenizer, monkeypatch, divided
):
    same = build_model(str(tiny_config_file), tokenizer, longest_sequence=8)
    folder = checkpoint(tmp_path, 10, "{}")
    check_same_model(folder, same)
    shutil.copy(model_folder / "model.safetensors", folder)
    wider = tmp_path / "wider.json"
    wider.write_text(json.dumps(TINY | {"n_embd": 64}))
    other = build_model(str(wider), tokenizer, longest_sequence=8)
    if divided:
        for model in (same, other):
            as_zero3_leaves_them(model, monkeypatch)
    check_same_model(folder, same)
    with refused("checkpoint-10 is of another model than --base (`transformer.", "(96,) there, (192,) here"):
        check_same_model(folder, other)
