"""The command line that all entry points share: typed flags, YAML configs, and errors of one line."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import errno
import itertools
import logging
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeVar

from chat.printable import PrintableFormatter, printable

Arguments = TypeVar("Arguments")
# How the system can refuse a path, other than by saying that nothing is there.
UNUSABLE_PATH = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)
# Libraries that log what is of no use to a user.
LOUD = ["httpx", "httpx2", "httpcore", "datasets", "urllib3", "numexpr", "torch", "matplotlib", "tensorboard"]


class UserError(Exception):
    """What the user gave cannot be used. One line: the flag or path, what is wrong, what to do."""


def parse_arguments(
    argument_class: type[Arguments],
    argv: list[str] | None = None,
    description: str = "",
    positional: str = "",
) -> Arguments:
    """Reads `argument_class` (a frozen dataclass with a help text per field) from flags and a YAML file.

    `--config FILE.yaml` gives defaults by field name; flags on the command line win over it. Flags may be
    written with dashes or underscores. What stands before the first flag is the value of `positional`. Of the
    description, such as a module's text, --help shows the first line.

    Raises:
        UserError: unknown flag or key, unreadable config, or a value of the wrong type.
    """
    from transformers import HfArgumentParser

    class Parser(HfArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise UserError(f"{message}; see --help")

    parser = Parser(
        argument_class,
        description=description.partition("\n")[0],
        allow_abbrev=False,
        prog=_program(),
        formatter_class=_help_formatter(positional),
    )
    parser.add_argument("--config", metavar="FILE.yaml", help="YAML file of defaults for the flags here.")
    argv = list(sys.argv[1:] if argv is None else argv)
    if positional and argv and not argv[0].startswith("-"):
        argv.insert(0, f"--{positional}")
    # The whole parser would insist here on required flags, which the file may give and --help does without.
    config_parser = Parser([], add_help=False, allow_abbrev=False)
    config_parser.add_argument("--config")
    known, _ = config_parser.parse_known_args(argv)
    from_file = []
    if _not_empty(known).config:
        from chat.config_file import config_flags

        from_file = config_flags(parser, Path(known.config))
    arguments, _, unknown = parser.parse_args_into_dataclasses(
        from_file + argv, return_remaining_strings=True, look_for_args_file=False
    )
    if unknown and not unknown[0].startswith("-"):
        raise UserError(f"{unknown[0]}: stands behind no flag; see --help")
    if unknown:
        flags = sorted(option for option in parser._option_string_actions if option.startswith("--"))
        raise UserError(f"{unknown[0]}: no such flag{suggestion(unknown[0], flags)}; see --help")
    return _at_home(_not_empty(arguments))


def _program() -> str | None:
    """How this process was started, where that was `python -m`: argparse names the file alone."""
    started = getattr(sys.modules["__main__"], "__spec__", None)
    return f"python -m {started.name.removesuffix('.__main__')}" if started else None


def _help_formatter(positional: str) -> type[argparse.HelpFormatter]:
    class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
        def _get_help_string(self, action: argparse.Action) -> str:
            flag = action.option_strings[0]
            if flag.startswith("--no_"):
                # HfArgumentParser says of it what it says of the flag that it turns off.
                return f"The same as --{flag.removeprefix('--no_')} false."
            text = super()._get_help_string(action) if action.default not in (None, []) else action.help
            if action.dest == positional:
                text += " Before all flags the values may stand alone."
            return text

    return HelpFormatter


def _not_empty(arguments: Arguments) -> Arguments:
    """The arguments, none of which may be empty, as of a shell's variable that is not set: it would be taken
    for a flag that was not given.

    Raises:
        UserError: one is.
    """
    if empty := next((name for name, value in vars(arguments).items() if value == ""), None):
        raise UserError(f"--{empty.replace('_', '-')}: is empty; give a value, or leave the flag out")
    return arguments


def _at_home(arguments: Arguments) -> Arguments:
    """`~/` at the beginning of a value, or of a path after NAME=, as the home folder: a shell expands it in
    `--output ~/data`, but neither in `--output=~/data` nor in a file of --config.
    """

    def expanded(value: Any) -> Any:
        if isinstance(value, list):
            return [expanded(item) for item in value]
        if not isinstance(value, str):
            return value
        name, equals, path = ("", "", value) if value.startswith("~/") else value.partition("=")
        return f"{name}{equals}{os.path.expanduser(path)}" if path.startswith("~/") else value

    given = vars(arguments)
    changed = {name: new for name, value in given.items() if (new := expanded(value)) != value}
    return dataclasses.replace(arguments, **changed) if changed else arguments


def numbers_by_name(items: list[str], flag: str, example: str) -> dict[str, float]:
    """The values of a flag that takes NAME=NUMBER, all numbers above 0.

    Raises:
        UserError: an item is none of these, or its name comes twice.
    """
    numbers = {}
    for item in items:
        name, _, number = item.partition("=")
        if name in numbers:
            raise UserError(f"{flag} {item}: {name} comes twice; give it once")
        try:
            numbers[name] = float(number)
        except ValueError:
            raise UserError(f"{flag} {item}: give NAME=NUMBER, such as {example}") from None
        if not 0 < numbers[name] < float("inf"):
            raise UserError(f"{flag} {item}: give a number above 0, such as {example}")
    return numbers


def check_numbers(
    arguments: Any,
    *,
    at_least_one: Iterable[str] = (),
    above_zero: Iterable[str] = (),
    not_negative: Iterable[str] = (),
) -> None:
    """Checks numbers among the arguments, which are all finite, by the names of their fields.

    Raises:
        UserError: one is too small, or no number.
    """

    def check(names: Iterable[str], is_fine: Callable[[float], bool], remedy: str) -> None:
        for name in names:
            if not is_fine(given := getattr(arguments, name)):
                raise UserError(f"--{name.replace('_', '-')} {given}: give {remedy}")

    check(at_least_one, lambda number: 1 <= number < math.inf, "at least 1")
    check(above_zero, lambda number: 0 < number < math.inf, "a number above 0")
    check(not_negative, lambda number: 0 <= number < math.inf, "0 or more")


def command_line(module: str, argument_class: type, values: dict[str, Any]) -> str:
    """The command that gives the arguments these values, without those that are the defaults."""
    words = ["python", "-m", module]
    for each in dataclasses.fields(argument_class):
        factory = each.default_factory
        default = each.default if factory is dataclasses.MISSING else factory()
        value = values.get(each.name)
        if value not in (None, [], default):
            items = value if isinstance(value, list) else [value]
            words += ["--" + each.name.replace("_", "-")]
            words += [str(item).lower() if isinstance(item, bool) else str(item) for item in items]
    return shlex.join(words)


def suggestion(name: str, known: Iterable[str]) -> str:
    """What to say behind a name that is unknown: the one that was meant, if there is one like it."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean `{close[0]}`?)" if close else ""


def first_line(error: BaseException) -> str:
    """The first line of its message that says something, with those that it announces, or its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    announcing = itertools.takewhile(lambda line: line.endswith(":"), lines)
    return " ".join(lines[: 1 + len([*announcing])])


def typed_line(error: BaseException) -> str:
    """Its type and its first line. Its `repr` would repeat all that could not be decoded, a whole file."""
    return f"{type(error).__name__}: {first_line(error)}"


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def run(main: Callable[[], None]) -> NoReturn:
    """Runs an entry point: a `UserError` becomes one line on stderr and exit status 2, never a traceback.

    So do a package that is not installed, since `requirements.txt` is enough to chat, a path that this user
    may not look at, and a stdout that cannot be written, such as a file on a full disk.
    """
    _ready_streams()
    logs = logging.StreamHandler()
    logs.setFormatter(PrintableFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[logs])
    for library in LOUD:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger("huggingface_hub").propagate = False  # It has its own handler, too.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    status: int | str | None = 0
    try:
        main()
    except UserError as error:
        # A value may have lines, as a block of YAML has.
        status = _told(f"error: {' '.join(str(error).splitlines())}", 2)
    except KeyboardInterrupt:
        status = _told("interrupted", 130)
    except SystemExit as end:
        status = end.code
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or (Path(__file__).parent.parent / package).exists():
            raise
        remedy = "`pip install -r requirements-train.txt` brings all that the commands here take"
        status = _told(f"error: `{package}` is not installed; {remedy}", 2)
    except OSError as error:
        if error.filename is not None and error.errno in UNUSABLE_PATH:
            remedy = "give another path, or mend its rights"
            status = _told(f"error: {error.filename}: {error.strerror}; {remedy}", 2)
        # Whether it is stdout's is found out by writing once more: the error itself does not say.
        elif failed := _failed_stdout(trial="\n"):
            sys.exit(failed)
        else:
            raise
    sys.exit(_failed_stdout() or status)


def _ready_streams() -> None:
    """Opens streams that are closed, as under some service managers, on the null device. What a stream cannot
    decode or encode is replaced.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
        if reconfigure := getattr(getattr(sys, name), "reconfigure", None):
            # A log is read while its process runs, which one with a buffer of 8 kB is not.
            reconfigure(errors="replace", line_buffering=True)


def _failed_stdout(trial: str = "") -> int | None:
    """The exit status where stdout takes no `trial`, or has no reader any more; None where all is well."""
    try:
        if trial:
            sys.stdout.write(trial)
        sys.stdout.flush()
        return None
    except BrokenPipeError:
        status = 141
    except OSError as error:
        problem = f"stdout: cannot be written ({error.strerror}); make room, or send it elsewhere"
        status = _told(f"error: {problem}", 2)
    _discard(sys.stdout)
    return status


def _told(line: str, status: int) -> int:
    try:
        print(printable(line), file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)
    return status


def _discard(stream: TextIO) -> None:
    """Keeps the interpreter, which flushes it at exit, from failing on it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
