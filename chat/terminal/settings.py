"""Decoding settings as somebody types them: `temperature 0.9`, `top-p=0.8`, `seed random`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from chat.cli import suggestion
from chat.decoding import DecodingSettings, span
from chat.terminal import BadCommand

NAMES = tuple(each.name for each in fields(DecodingSettings))
DEFAULT = "default"
ON, OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")
ANY_SEED = ("random", "none", "off")
SPECIAL_VALUES = {"do_sample": "on or off", "seed": "a number, or random"}


def listing(settings: DecodingSettings, own: DecodingSettings) -> str:
    """All settings, a line each: the value, what it can be, and the model's own where that is another."""
    return "\n".join(line(name, settings, own) for name in NAMES)


def line(name: str, settings: DecodingSettings, own: DecodingSettings) -> str:
    value, default = getattr(settings, name), getattr(own, name)
    limits = SPECIAL_VALUES.get(name) or span(name)
    other = f"; the model's own: {written(default)}" if value != default else ""
    return f"{name:<18} {written(value):<8} ({limits}{other})"


def written(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "random" if value is None else str(value)


def changed(
    typed: str, settings: DecodingSettings, own: DecodingSettings
) -> tuple[DecodingSettings, list[str]]:
    """The settings with what was typed, within the limits, and a line on each that was taken otherwise.

    Args:
        own: the model's settings, which `default` gives back.

    Raises:
        BadCommand: an unknown name, or a value that it cannot have; nothing of it is taken.
    """
    words = re.split(r"[\s=]+", typed)
    if words == [DEFAULT]:
        return own, []
    asked: dict[str, Any] = {}
    for typed_name, value in zip(words[::2], [*words[1::2], ""], strict=False):
        name = known_name(typed_name)
        asked[name] = getattr(own, name) if value.lower() == DEFAULT else _value(name, value)
    taken = replace(settings, **asked).clamped()
    return taken, corrections({**vars(settings), **asked}, taken)


def known_name(typed: str) -> str:
    """
    Raises:
        BadCommand: there is no such setting.
    """
    name = typed.lower().replace("-", "_")
    if name not in NAMES:
        raise BadCommand(f"/set {typed}: no such setting{suggestion(name, NAMES)}; /set lists them")
    return name


def corrections(asked: Mapping[str, Any], taken: DecodingSettings) -> list[str]:
    """A line on each setting that is not what was asked for."""
    return [
        f"{name} {written(value)} is not possible: {written(getattr(taken, name))} is taken"
        for name, value in asked.items()
        if getattr(taken, name) != value
    ]


def _value(name: str, typed: str) -> Any:
    word = typed.lower()
    if name == "do_sample":
        if word not in ON + OFF:
            raise BadCommand(f"/set {name} {typed}: give on or off")
        return word in ON
    if name == "seed" and word in ANY_SEED:
        return None
    for number in (int, float):
        try:
            return number(typed)
        except ValueError:
            continue
    raise BadCommand(f"/set {name} {typed}: give a number from {span(name)}")
