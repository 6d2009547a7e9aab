"""What a run keeps of its arguments, and how it goes on by them."""

import errno
import json
import logging
import os
from types import SimpleNamespace

import pytest

from chat.cli import UserError
from training.checkpoints import run_id_of
from training.resuming import (
    alone,
    as_resumed,
    check_and_save,
    exit_if_stopped,
    going_on,
    is_first_process,
    refuse_earlier_run,
    save,
)
from training.train import train


def test_whoever_trains_by_kept_arguments_pushes_nowhere(short_run, tmp_path):
    given = short_run(push_to_hub="someone/chat", hub_public=True, hub_tag="v1", resume=True)
    save(given, given.output_dir)
    assert as_resumed(short_run()) == short_run()
    text = (tmp_path / "run" / "train_arguments.json").read_text()
    assert "someone/chat" not in text and '"v1"' not in text and '"resume": false' in text


def test_what_the_checkpoint_holds_itself_goes_on_as_it_was_and_that_is_said(short_run, tmp_path, caplog):
    save(short_run(learning_rate=1e-3, weight_decay=0.1), tmp_path / "run")
    resumed = as_resumed(short_run(learning_rate=5e-4, weight_decay=0.2))
    assert (resumed.learning_rate, resumed.weight_decay) == (1e-3, 0.1)
    assert set(caplog.messages) == {
        "--resume: --learning-rate 0.0005: the checkpoint goes on with 0.001",
        "--resume: --weight-decay 0.2: the checkpoint goes on with 0.1",
    }


def test_a_run_without_a_checkpoint_begins_by_the_arguments_that_it_is_given(short_run, tmp_path, caplog):
    save(short_run(learning_rate=1e-3, optimizer="muon"), tmp_path / "run")
    given = short_run(learning_rate=5e-4, resume=True)
    assert going_on(given) == (given, None)
    assert caplog.messages == [
        f"--resume: no whole checkpoint in {tmp_path / 'run'}, starting from the beginning"
    ]


def test_processes_that_find_different_things_do_not_train_together(short_run, tmp_path, monkeypatch):
    trainer = SimpleNamespace(is_world_process_zero=lambda: True, data_digests={"--data": "mine"})
    monkeypatch.setattr("accelerate.utils.gather_object", lambda found: [*found, "another"])
    with pytest.raises(UserError, match=r"^--data: the processes read different data; prepare it once"):
        check_and_save(trainer, short_run(), None)
    trainer.data_digests = {}
    told = r"^--resume: the processes find different checkpoints in --output-dir \(none, another\)"
    with pytest.raises(UserError, match=told):
        check_and_save(trainer, short_run(), None)
    assert not (tmp_path / "run").exists()


def test_the_first_process_alone_keeps_the_arguments(short_run, tmp_path):
    for is_first in (False, True):
        trainer = SimpleNamespace(is_world_process_zero=lambda: is_first, data_digests={})  # noqa: B023
        check_and_save(trainer, short_run(), None)
        assert (tmp_path / "run").exists() is is_first


@pytest.mark.parametrize("kept", [None, "", '{"seed": 4', "[]", "null"])
def test_without_arguments_that_can_be_read_a_run_goes_on_by_those_that_are_given(short_run, tmp_path, kept):
    if kept is not None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "train_arguments.json").write_text(kept)
    assert as_resumed(short_run()) == short_run()


def test_the_processes_of_one_run_share_its_folder_and_another_run_does_not(tmp_path, monkeypatch):
    folder = str(tmp_path / "run")
    with alone(folder):
        with (
            pytest.raises(UserError, match=r"^--output-dir .*run: another process trains there"),
            alone(folder),
        ):
            pytest.fail("two runs")
        monkeypatch.setenv("RANK", "1")
        with alone(folder):
            pass
        monkeypatch.delenv("RANK")
    assert not (tmp_path / "run").exists(), "what was refused leaves no folder"


def test_what_an_older_version_did_not_ask_for_is_no_change(short_run, tmp_path, caplog):
    save(short_run(), tmp_path / "run")
    file = tmp_path / "run" / "train_arguments.json"
    kept = json.loads(file.read_text())
    for name in ("learning_rate", "weight_decay", "optimizer", "seed"):
        del kept[name]
    file.write_text(json.dumps(kept))
    given = short_run(learning_rate=5e-4, seed=7)
    assert as_resumed(given) == given and not caplog.messages


def test_another_optimizer_is_refused_and_another_seed_is_told_once(short_run, tmp_path, caplog, monkeypatch):
    save(short_run(), tmp_path / "run")
    with pytest.raises(UserError, match=r"^--optimizer muon: the run to resume has adamw; give that"):
        as_resumed(short_run(optimizer="muon"))
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        assert as_resumed(short_run(seed=7)) == short_run(seed=7)
    [told] = caplog.messages
    assert told.startswith("--resume: --seed was 0 and is 7 now: the run goes on with the new value and will")


def test_weights_of_another_base_are_told_not_to_be_taken(short_run, tmp_path, caplog):
    """As where the base lies elsewhere on the machine that goes on."""
    save(short_run(base="moved"), tmp_path / "run")
    as_resumed(given := short_run())
    [told] = caplog.messages
    assert told == (
        f"--resume: --base was moved and is {given.base} now: the run goes on with the checkpoint's weights"
    )


@pytest.mark.parametrize(
    ("processes", "saved", "told"),
    [
        (1, 0, r"is not whole \(no rng_state\*.pth\); remove it"),
        (1, 2, "is of a run of 2 processes, and this one has 1; launch 2"),
        (4, 2, "is of a run of 2 processes, and this one has 4; launch 2"),
        (2, 2, None),
    ],
)
def test_a_checkpoint_is_resumed_by_as_many_processes_on_its_model_and_data(
    short_run, tmp_path, monkeypatch, processes, saved, told
):
    checked = []
    monkeypatch.setattr("accelerate.PartialState", lambda: SimpleNamespace(num_processes=processes))
    for name in ("check_undamaged", "check_same_model", "check_same_data"):
        monkeypatch.setattr(f"training.resuming.{name}", lambda *given: checked.append(given))
    # On another machine the folder may lie elsewhere.
    monkeypatch.setattr(
        "accelerate.utils.gather_object", lambda found: [*found, *map(os.path.basename, found)]
    )
    for process in range(saved):
        (tmp_path / f"rng_state_{process}.pth").touch()
    digests = {"--data": "mine"}
    trainer = SimpleNamespace(is_world_process_zero=lambda: True, data_digests=digests, model="model")
    if told:
        with pytest.raises(UserError, match=f"^--resume: {tmp_path} {told}"):
            check_and_save(trainer, short_run(resume=True), tmp_path)
        assert not checked and not (tmp_path / "run").exists()
    else:
        check_and_save(trainer, short_run(resume=True), tmp_path)
        assert checked == [(tmp_path, trainer), (tmp_path, "model"), (tmp_path, digests)]


def test_halves_are_gone_before_a_run_goes_on(short_run, tmp_path, monkeypatch):
    """Else they would be among those that are kept, in the place of whole ones."""
    for step, state in ((2, '{"global_step": 2}'), (4, '{"global_st')):
        (tmp_path / "run" / f"checkpoint-{step}").mkdir(parents=True)
        (tmp_path / "run" / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    with monkeypatch.context() as other_process:
        other_process.setenv("RANK", "1")
        _, checkpoint = going_on(short_run(resume=True))
    assert len([*(tmp_path / "run").iterdir()]) == 2, "its own part of what another machine has whole"
    _, checkpoint = going_on(short_run(resume=True))
    assert [*(tmp_path / "run").iterdir()] == [checkpoint] and checkpoint.name == "checkpoint-2"


@pytest.mark.parametrize("variable", ["RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK"])
def test_on_another_machine_what_its_own_processes_saved_is_no_earlier_run(tmp_path, monkeypatch, variable):
    """Without a disk that all share, the first one alone has whole checkpoints, and takes old ones away."""
    part = tmp_path / "checkpoint-2"
    part.mkdir()
    (part / "rng_state_1.pth").touch()
    with pytest.raises(UserError, match="holds checkpoints of an earlier run"):
        refuse_earlier_run(str(tmp_path))
    monkeypatch.setenv(variable, "1")
    assert not is_first_process()
    refuse_earlier_run(str(tmp_path))
    (part / "trainer_state.json").write_text('{"global_step": 2}')
    with pytest.raises(UserError, match="holds checkpoints of an earlier run"):
        refuse_earlier_run(str(tmp_path))


def test_a_run_that_sigterm_stopped_does_not_end_as_one_that_is_done():
    """Schedulers start anew what ended so, and go on to the next task after status 0."""
    arguments = SimpleNamespace(output_dir="run")
    with pytest.raises(SystemExit) as end:
        exit_if_stopped(
            SimpleNamespace(stopped_at_step=4, args=arguments, is_world_process_zero=lambda: True)
        )
    assert end.value.code == 143
    exit_if_stopped(SimpleNamespace(stopped_at_step=None, args=arguments))


def test_a_run_that_is_refused_leaves_no_folder(tmp_path):
    with pytest.raises(UserError), alone(str(tmp_path / "runs" / "gpt2")):
        raise UserError("--data: bad")
    assert not [*tmp_path.iterdir()]


def test_ctrl_c_tells_from_where_the_run_can_go_on(tmp_path, caplog):
    for checkpoint, told in ((None, "there is no checkpoint yet"), (8, "--resume goes on from checkpoint-8")):
        if checkpoint:
            (tmp_path / f"checkpoint-{checkpoint}").mkdir(parents=True)
            (tmp_path / f"checkpoint-{checkpoint}" / "trainer_state.json").write_text('{"global_step": 8}')
        with caplog.at_level(logging.INFO), pytest.raises(KeyboardInterrupt), alone(str(tmp_path)):
            raise KeyboardInterrupt
        assert told in caplog.records[-1].getMessage() and "SIGTERM" in caplog.text


def test_arguments_that_cannot_be_written_are_an_error_and_those_of_before_stay(
    short_run, tmp_path, monkeypatch
):
    def full(descriptor):
        os.ftruncate(descriptor, 9)
        raise OSError(errno.ENOSPC, "No space left on device")

    save(short_run(), tmp_path / "run")
    kept = (tmp_path / "run" / "train_arguments.json").read_bytes()
    trainer = SimpleNamespace(is_world_process_zero=lambda: True, data_digests={})
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(UserError, match=r"^--output-dir .*run: cannot be written \(No space left"):
            check_and_save(trainer, short_run(max_steps=9), None)
    assert (tmp_path / "run" / "train_arguments.json").read_bytes() == kept


def test_a_run_has_one_id_however_often_it_is_resumed(short_run, tmp_path):
    def found(step: int, folder: str = "run") -> str | None:
        return run_id_of(tmp_path / folder / f"checkpoint-{step}")

    train(short_run(max_steps=2))
    train(short_run(max_steps=4, resume=True))
    train(short_run(max_steps=2, output_dir=str(tmp_path / "other")))
    assert found(2) == found(4) != found(2, "other")
