"""Where a run computes."""

import pytest
import torch

from training.cpu import uses_cpu


@pytest.mark.parametrize(
    ("has_accelerator", "told", "expected"), [(True, "", False), (True, "true", True), (False, "", True)]
)
def test_the_cpu_is_used_where_there_is_nothing_else_or_it_is_asked_for(
    has_accelerator, told, expected, monkeypatch
):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: has_accelerator)
    monkeypatch.setenv("ACCELERATE_USE_CPU", told)
    assert uses_cpu() is expected
