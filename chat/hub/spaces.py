"""What a Space has beside its files."""

from __future__ import annotations

from chat.cli import UserError
from chat.hub.cards import refuse_anothers
from chat.hub.publishing import persistently
from chat.hub.repositories import Destination, hub_api, make_ready


def set_variable(destination: Destination, name: str, value: str) -> None:
    """Gives the Space an environment variable, which anybody can read; where it changes, the Space restarts.

    Raises:
        UserError: the Hub refuses, or cannot be reached.
    """

    def try_once() -> None:
        api = hub_api()
        there = api.get_space_variables(destination.repo_id).get(name)
        if there is None or there.value != value:
            api.add_space_variable(destination.repo_id, name, value)

    persistently(try_once, destination, undone=f"the variable {name} is not set")


def make_space_ready(destination: Destination, mark: str) -> None:
    """Makes the Space where there is none; another one by this name is left alone.

    Args:
        mark: what the README of a Space of ours holds.

    Raises:
        UserError: the Hub refuses or cannot be reached, or it is another Space.
    """
    if failure := make_ready(destination, lambda: refuse_anothers(destination, mark)):
        raise UserError(f"{destination}: {failure}")
