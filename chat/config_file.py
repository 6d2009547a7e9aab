"""The YAML file of `--config`, read as flags."""

from __future__ import annotations

import argparse
from collections.abc import Container
from pathlib import Path
from typing import Any

import yaml

from chat.cli import UserError, first_line, suggestion


class _Loader(yaml.SafeLoader):
    """Refuses a key that comes twice, where YAML's own takes the last; leaves numbers as they are written,
    since a tag 1.10 is not 1.1.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key, _ in node.value:
            name = key.value.replace("-", "_") if isinstance(key.value, str) else None
            if name in seen:
                problem = f"`{key.value}` comes twice, in line {key.start_mark.line + 1}"
                raise yaml.constructor.ConstructorError(problem=problem)
            seen.add(name)
        super().flatten_mapping(node)


for _kind in ("int", "float", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_yaml_str)


def config_flags(parser: argparse.ArgumentParser, path: Path) -> list[str]:
    """The YAML file's entries as command-line flags, so that they pass the same type checks.

    Raises:
        UserError: it cannot be read, or has what no flag of the parser takes.
    """
    if not path.is_file():
        raise UserError(f"--config {path}: no such file; give a YAML file such as training/configs/gpt2.yaml")
    try:
        entries = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise UserError(f"--config {path}: cannot be read ({error.strerror}); give another file") from None
    except (yaml.YAMLError, UnicodeDecodeError, LookupError, RecursionError) as error:
        raise UserError(f"--config {path}: not valid YAML ({first_line(error)}); mend the file") from None
    if not isinstance(entries, dict):
        raise UserError(f"--config {path}: expected `name: value` lines; mend the file")
    fields = {action.dest: action for action in parser._actions if action.dest not in ("help", "config")}
    flags: list[str] = []
    for key, value in entries.items():
        name = str(key).replace("-", "_")
        if name not in fields:
            raise UserError(
                f"--config {path}: unknown key `{key}`{suggestion(name, fields)}; remove or rename it"
            )
        if isinstance(value, dict):
            raise UserError(f"--config {path}: `{key}` must be a single value or a list, not a mapping")
        if isinstance(value, list) and fields[name].nargs != "+":
            raise UserError(f"--config {path}: `{key}` must be a single value, not a list; mend the file")
        if value == []:
            # As a flag it would be one without a value.
            parser.set_defaults(**{name: []})
        elif value is not None:
            values = value if isinstance(value, list) else [value]
            if any(item is None or isinstance(item, dict | list) for item in values):
                # `- My favourite colour: blue` is a mapping.
                raise UserError(
                    f"--config {path}: `{key}` must be a list of single values, none of them missing; put a "
                    "text with a colon in quotes"
                )
            flags += [f"--{name}", *(_word(item, fields[name].choices or ()) for item in values)]
    return flags


def _word(value: Any, choices: Container[str]) -> str:
    """A value of YAML as one would write it on the command line; YAML reads `no` as false."""
    if not isinstance(value, bool):
        return str(value)
    return "no" if not value and "no" in choices else str(value).lower()
