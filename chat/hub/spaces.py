"""What a Space has beside its files."""

from __future__ import annotations

from chat.hub.publishing import Destination, persistently


def set_variable(destination: Destination, name: str, value: str, *, again: str) -> None:
    """Gives the Space an environment variable, which anybody can read; where it changes, the Space restarts.

    Raises:
        UserError: the Hub refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi

    def try_once() -> None:
        there = HfApi().get_space_variables(destination.repo_id).get(name)
        if there is None or there.value != value:
            HfApi().add_space_variable(destination.repo_id, name, value)

    persistently(try_once, destination, what=f"{name}={value}", again=again)
