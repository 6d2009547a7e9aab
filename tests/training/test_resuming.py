"""What a run keeps of its arguments, and how it goes on by them."""

import errno
import os
from types import SimpleNamespace

import pytest

from chat.cli import UserError
from chat.hub.cards import RepositoryState
from training import hub
from training.resuming import (
    as_resumed,
    begin,
    exit_if_stopped,
    going_on,
    is_first_process,
    refuse_earlier_run,
    save,
)


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


def test_halves_are_gone_before_a_run_goes_on(short_run, tmp_path):
    """Else they would be among those that are kept, in the place of whole ones."""
    for step, state in ((2, '{"global_step": 2}'), (4, '{"global_st')):
        (tmp_path / "run" / f"checkpoint-{step}").mkdir(parents=True)
        (tmp_path / "run" / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
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


def test_the_checkpoints_on_the_hub_are_another_runs_unless_it_is_resumed(short_run, monkeypatch):
    fetched = []
    monkeypatch.setattr(hub, "make_ready", lambda _: None)
    monkeypatch.setattr(hub, "steps_on_hub", lambda _: [4])
    monkeypatch.setattr("chat.hub.cards.state_of", lambda _: RepositoryState("c0ffee", (), None))
    monkeypatch.setattr(hub, "fetch_checkpoints", lambda *given: fetched.append(given))
    with pytest.raises(UserError, match="holds checkpoints of an earlier run, up to step 4"):
        hub.begin(short_run(), hub.Destination("someone/chat"))
    assert not fetched
    hub.begin(short_run(resume=True), hub.Destination("someone/chat"))
    assert len(fetched) == 1


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
            begin(trainer, short_run(max_steps=9), None)
    assert (tmp_path / "run" / "train_arguments.json").read_bytes() == kept
