"""Work spread over the processes of a launch."""

import accelerate

from eval.processes import this_process


def test_processes_on_the_cpu_find_each_other_though_nobody_told_them_of_it(monkeypatch):
    """As those of torchrun, to whom `accelerate launch` passes nothing of the kind."""
    monkeypatch.delenv("ACCELERATE_USE_CPU")
    monkeypatch.setattr(accelerate, "PartialState", lambda cpu: cpu)
    assert this_process() is True
