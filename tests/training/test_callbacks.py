"""What SIGTERM does to a run, in the midst of it and at its end."""

from types import SimpleNamespace

from training.callbacks import StopOnSigterm


def told_to_stop(step: int, max_steps: int) -> tuple[StopOnSigterm, SimpleNamespace, SimpleNamespace]:
    """The callback after a step in which SIGTERM came, the Trainer's arguments, and its control."""
    stop = StopOnSigterm()
    stop.received = True
    arguments = SimpleNamespace(world_size=1, load_best_model_at_end=True)
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    stop.on_step_end(arguments, SimpleNamespace(global_step=step, max_steps=max_steps), control)
    return stop, arguments, control


def test_a_run_in_its_midst_saves_and_stops_without_its_best_model():
    stop, arguments, control = told_to_stop(step=4, max_steps=5)
    assert stop.stopped_at_step == 4 and control.should_save and control.should_training_stop
    assert not arguments.load_best_model_at_end


def test_a_run_at_its_last_step_ends_as_it_would_have():
    stop, arguments, control = told_to_stop(step=5, max_steps=5)
    assert stop.stopped_at_step is None and arguments.load_best_model_at_end
    assert not control.should_save and not control.should_training_stop
