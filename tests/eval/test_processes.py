"""Work spread over the processes of a launch."""

from types import SimpleNamespace

import accelerate

from eval import processes
from eval.processes import this_process


def test_processes_on_the_cpu_find_each_other_though_nobody_told_them_of_it(monkeypatch):
    """As those of torchrun, to whom `accelerate launch` passes nothing of the kind."""
    monkeypatch.delenv("ACCELERATE_USE_CPU")
    monkeypatch.setattr(accelerate, "PartialState", lambda cpu: cpu)
    assert this_process() is True


def test_what_the_first_process_finds_is_done_by_no_other(monkeypatch):
    told = {"first": None}

    def broadcast_object_list(found):
        told["first"] = told["first"] or found
        return told["first"]

    monkeypatch.setattr("accelerate.utils.broadcast_object_list", broadcast_object_list)
    done = []
    for is_main in (True, False):
        this_one = SimpleNamespace(is_main_process=is_main)
        monkeypatch.setattr(processes, "this_process", lambda this_one=this_one: this_one)
        assert processes.by_first(lambda: done.append(1) or "found") == "found"
    assert done == [1]
