"""What the page takes from environment variables, checked before a model is loaded."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from chat.cli import UserError
from chat.content_guard import is_wanted
from chat.engine import MAX_REQUESTS, MODEL_VARIABLE, EngineName, default_model
from chat.feedback import DATASET_VARIABLE, DEFAULT_FOLDER, FOLDER_VARIABLE, is_off
from chat.folders import check_writable

MAX_QUEUE_SIZE = 1000
ADDRESS_VARIABLE = "GRADIO_SERVER_NAME"
PORT_VARIABLE = "GRADIO_SERVER_PORT"
MAX_PORT = 65_535


@dataclass(frozen=True)
class PageVariables:
    """One field for each variable, `variable` its name, `help` what it sets."""

    model: str = field(metadata={"variable": MODEL_VARIABLE, "help": "the model, path or Hub id"})
    engine: EngineName = field(
        default="auto",
        metadata={
            "variable": "ENGINE",
            "help": "`auto` (default), `torch` or `openvino` (below); the terminal has `--engine`",
        },
    )
    concurrent_replies: int = field(
        default=MAX_REQUESTS,
        metadata={
            "variable": "CONCURRENT_REPLIES",
            "help": f"replies drawn at once, 1 to {MAX_REQUESTS} (default {MAX_REQUESTS})",
        },
    )
    queue_size: int = field(
        default=64,
        metadata={
            "variable": "QUEUE_SIZE",
            "help": "messages that wait beyond those, before others are told that it is busy, 1 to "
            f"{MAX_QUEUE_SIZE} (default 64)",
        },
    )
    feedback_folder: str = field(
        default=DEFAULT_FOLDER,
        metadata={
            "variable": FOLDER_VARIABLE,
            "help": "where messages are kept of those who allow it (default `feedback`); `off`: nowhere",
        },
    )
    feedback_dataset: str = field(
        default="",
        metadata={
            "variable": DATASET_VARIABLE,
            "help": "a dataset on the Hub, USER/NAME, to which they are copied every five minutes",
        },
    )
    mcp_server: bool = field(
        default=True,
        metadata={
            "variable": "GRADIO_MCP_SERVER",
            "help": "`true` (default) or `false`: the chat as an MCP tool",
        },
    )

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> PageVariables:
        """Takes an empty port out of the environment: Gradio would stumble over it.

        Raises:
            UserError: a variable's value cannot be used; the message names it.
        """
        given = {
            each.name: value
            for each in fields(cls)
            if (value := environment.get(each.metadata["variable"], "").strip())
        }
        checked: dict[str, Any] = dict(given)
        checked["model"] = os.path.expanduser(given.get("model", "")) or default_model()
        if "engine" in given:
            checked["engine"] = _engine_named(given["engine"])
        for name, highest in {"concurrent_replies": MAX_REQUESTS, "queue_size": MAX_QUEUE_SIZE}.items():
            if name in given:
                checked[name] = _whole_number(variable_of(name), given[name], highest)
        # These are read elsewhere, later and, by Gradio, with a traceback.
        is_wanted(environment)
        if port := environment.get(PORT_VARIABLE, "").strip():
            _whole_number(PORT_VARIABLE, port, MAX_PORT)
        else:
            environment.pop(PORT_VARIABLE, None)
        if name := environment.get(ADDRESS_VARIABLE, "").strip():
            _check_address(name)
        if (folder := given.get("feedback_folder")) and not is_off(folder):
            _check_folder(folder)
        if "mcp_server" in given:
            checked["mcp_server"] = _yes_or_no(given["mcp_server"])
        found = cls(**checked)
        if found.feedback_dataset and not found.keeps_feedback:
            raise UserError(f"{DATASET_VARIABLE}: is set while {FOLDER_VARIABLE} is off; unset one of them")
        return found

    @property
    def keeps_feedback(self) -> bool:
        return not is_off(self.feedback_folder)


def variable_of(name: str) -> str:
    """The environment variable of a field."""
    return next(each.metadata["variable"] for each in fields(PageVariables) if each.name == name)


def _engine_named(value: str) -> EngineName:
    if (found := value.lower()) not in get_args(EngineName):
        raise UserError(f"{variable_of('engine')} {value}: give one of {', '.join(get_args(EngineName))}")
    return found


def _check_address(name: str) -> None:
    """Raises UserError where this machine has no such address: Gradio would blame its ports, in the end."""
    try:
        bare = name.removeprefix("[").removesuffix("]")
        [(family, _, _, _, address), *_] = socket.getaddrinfo(bare, 0, type=socket.SOCK_STREAM)
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind(address)
    except (OSError, UnicodeError):
        raise UserError(
            f"{ADDRESS_VARIABLE} {name}: no address of this machine; give 127.0.0.1, or 0.0.0.0 for all"
        ) from None


def _check_folder(folder: str) -> None:
    """Raises UserError where messages could not be kept, which one would learn of too late."""
    if folder.lower() in ("false", "no", "none", "0"):
        # Of whoever gives it nothing is to be kept.
        raise UserError(f"{FOLDER_VARIABLE} {folder}: give off, or ./{folder} for a folder of this name")
    try:
        check_writable(Path(folder).expanduser() / "events", FOLDER_VARIABLE)
    except (UserError, RuntimeError):
        # The second of a home folder that nobody has.
        raise UserError(
            f"{FOLDER_VARIABLE} {folder}: cannot be written to; give another folder, or off"
        ) from None


def _whole_number(variable: str, value: str, highest: int) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= highest):
        raise UserError(f"{variable} {value}: give a whole number from 1 to {highest}")
    return int(value)


def _yes_or_no(value: str) -> bool:
    if value.lower() not in ("true", "false", "1", "0"):
        raise UserError(f"{variable_of('mcp_server')} {value}: give true or false")
    return value.lower() in ("true", "1")
