"""Flags and YAML files, the errors that they give, and how entry points end."""

import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from typing import Literal

import pytest

from chat.cli import UserError, command_line, parse_arguments
from tests.conftest import ROOT, refused


@dataclass(frozen=True)
class Arguments:
    steps: int = field(default=1, metadata={"help": "Steps."})
    learning_rate: float = field(default=0.1, metadata={"help": "Rate."})
    names: list[str] = field(default_factory=lambda: ["everybody"], metadata={"help": "Names."})
    dry_run: bool = field(default=False, metadata={"help": "Do nothing."})
    precision: Literal["no", "bf16"] = field(default="bf16", metadata={"help": "Precision."})
    seed: int | None = field(default=None, metadata={"help": "Seed."})
    push_to_hub: str | None = field(default=None, metadata={"help": "USER/MODEL."})


def parse(*argv: str) -> Arguments:
    return parse_arguments(Arguments, list(argv))


def test_flags_with_dashes_or_underscores():
    given = parse("--learning-rate", "0.5", "--names", "a", "b", "--dry_run")
    assert given == Arguments(learning_rate=0.5, names=["a", "b"], dry_run=True)


def test_the_home_folder_is_meant_where_no_shell_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    (tmp_path / "c.yaml").write_text("names: ['~/a=b', 'cornell=~/b=c', 'a ~ b', '~']\n")
    found = parse("--config", str(tmp_path / "c.yaml"))
    assert found.names == ["/home/somebody/a=b", "cornell=/home/somebody/b=c", "a ~ b", "~"]


def test_a_flag_wins_over_the_file(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "steps: 5\nlearning-rate: 2.0e-3\nnames: [x, y]\ndry_run: true\nseed: null\n"
    )
    given = parse("--config", str(tmp_path / "c.yaml"), "--steps", "7")
    assert given == Arguments(7, 2e-3, ["x", "y"], True)


def test_a_file_may_take_in_what_it_has_elsewhere(tmp_path):
    (tmp_path / "c.yaml").write_text("<<: {steps: 5, learning-rate: 0.5}\nsteps: 7\n")
    assert parse("--config", str(tmp_path / "c.yaml")) == Arguments(7, 0.5)


@pytest.mark.parametrize(("written", "precision"), [("no", "no"), ("'no'", "no"), ("bf16", "bf16")])
def test_no_in_yaml_is_the_choice_of_that_name(tmp_path, written, precision):
    (tmp_path / "c.yaml").write_text(f"precision: {written}\n")
    assert parse("--config", str(tmp_path / "c.yaml")).precision == precision


def test_a_list_may_be_empty_in_the_file(tmp_path):
    (tmp_path / "c.yaml").write_text("names: []\nsteps: 5\n")
    given = parse("--config", str(tmp_path / "c.yaml"))
    assert (given.names, given.steps) == ([], 5)
    assert parse("--config", str(tmp_path / "c.yaml"), "--names", "a").names == ["a"]


def test_numbers_in_the_file_stay_as_they_are_written(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "names: [1.10, 007, 2026-02-30, true]\nlearning_rate: 1e-4\nsteps: 010\n"
    )
    given = parse("--config", str(tmp_path / "c.yaml"))
    assert given == Arguments(10, 1e-4, ["1.10", "007", "2026-02-30", "true"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: 5", "unknown key `stepz` (did you mean `steps`?)"),
        ("steps: [", "not valid YAML"),
        ("steps: 5\nseed: 1\nsteps: 6", "not valid YAML (`steps` comes twice, in line 3); mend the file"),
        ("dry-run: true\ndry_run: false", "`dry_run` comes twice, in line 2"),
        ("? [steps]\n: 5", "not valid YAML"),
        ("config: other.yaml", "unknown key `config`"),
        ("help: true", "unknown key `help`"),
        ("names: [caf\udce9]", "not valid YAML"),
        ("- a", "expected `name: value` lines"),
        ("", "expected `name: value` lines"),
        ("steps: {a: 1}", "not a mapping"),
        ("steps: many", "invalid int value: 'many'"),
        ("precision: yes", "--precision: invalid choice: 'true'"),
        ("steps: []", "`steps` must be a single value, not a list; mend the file"),
        ("steps: [5, 6]", "`steps` must be a single value, not a list; mend the file"),
        (
            "names: [a, b: c]",
            "`names` must be a list of single values, none of them missing; put a text with",
        ),
        ("names:\n- a\n-", "`names` must be a list of single values"),
        ("names: [[a]]", "`names` must be a list of single values"),
        ("dry_run: !!bool maybe", "not valid YAML"),
        pytest.param("{a: " * 1000, "not valid YAML", id="nested too deeply"),
    ],
)
def test_a_bad_file_is_named_in_one_line(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text, errors="surrogateescape")
    with refused(message):
        parse("--config", str(path))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--step", "5"], "--step: no such flag (did you mean `--steps`?)"),
        (["Hi there"], "Hi there: stands behind no flag; see --help"),
        (["--steps", "x"], "--steps: invalid int value: 'x'"),
        (["--config", "nowhere.yaml"], "--config nowhere.yaml: no such file"),
        (
            ["--config", "/proc/self/mem"],
            "--config /proc/self/mem: cannot be read (Input/output error); give",
        ),
        (["--steps"], "--steps: expected one argument"),
        (["--push-to-hub", ""], "--push-to-hub: is empty; give a value, or leave the flag out"),
        (["--config", ""], "--config: is empty; give a value, or leave the flag out"),
    ],
)
def test_a_bad_flag_is_named_in_one_line(argv, message):
    with refused(message):
        parse(*argv)


@dataclass(frozen=True)
class WithRequired:
    model: str = field(metadata={"help": "The model."})


def test_a_required_flag_may_stand_in_the_config_and_help_needs_none(tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text("model: mine\n")
    assert parse_arguments(WithRequired, ["--config", str(config)]).model == "mine"
    with pytest.raises(SystemExit) as end:
        parse_arguments(WithRequired, ["--help"])
    assert end.value.code == 0 and "The model." in capsys.readouterr().out
    with pytest.raises(UserError, match="required: --model"):
        parse_arguments(WithRequired, [])
    with pytest.raises(UserError, match="--config: expected one argument"):
        parse_arguments(WithRequired, ["--config"])


def test_a_command_that_is_shown_can_be_given_again():
    given = {"learning_rate": 0.1, "names": ["Jo's cat", "b"], "dry_run": True}
    shown = command_line("some.module", Arguments, given)
    assert shown == "python -m some.module --names 'Jo'\"'\"'s cat' b --dry-run true"
    assert parse(*shlex.split(shown)[3:]) == Arguments(**given)


FULL_DISK = "error: stdout: cannot be written (No space left on device); make room, or send it elsewhere\n"


def entry_point(does: str, unbuffered: str, **streams) -> subprocess.CompletedProcess:
    """A process whose `main` does so."""
    code = f"import sys\nfrom chat.cli import UserError, run\ndef main():\n    {does}\nrun(main)"
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, timeout=60, **streams)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "does", ["print('Hi')", "print('Hi', flush=True)", "print('Hi' * 9999)", "print('Hi'); sys.exit(0)"]
)
def test_a_full_disk_behind_stdout_is_one_line(does, unbuffered):
    with open("/dev/full", "w") as full:
        done = entry_point(does, unbuffered, stdout=full, stderr=subprocess.PIPE)
        silent = entry_point(does, unbuffered, stdout=full, stderr=full)
    assert (done.returncode, done.stderr) == (2, FULL_DISK) and silent.returncode == 2


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_the_user_did_wrong_is_told_on_a_full_disk_too(unbuffered):
    with open("/dev/full", "w") as full:
        does = "raise UserError('--x: bad; mend it')"
        done = entry_point(does, unbuffered, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (2, "error: --x: bad; mend it\n")


@pytest.mark.parametrize(
    ("does", "status", "told"),
    [
        ("print('Hi')", 0, ""),
        ("print('Hi'); sys.exit(143)", 143, ""),
        ("print('Hi'); raise KeyboardInterrupt", 130, "interrupted\n"),
        # As PyTorch does at the end where its import was interrupted: it is what makes it quiet.
        (
            "import logging; print('Hi'); logging.getLogger('torch.any').info('cache_hits: 0'); "
            "raise KeyboardInterrupt",
            130,
            "interrupted\n",
        ),
        (
            "print('Hi'); import accelerated.utils",
            2,
            "error: `accelerated` is not installed; `pip install -r requirements-train.txt` brings all that "
            "the commands here take\n",
        ),
        (
            f"print('Hi'); open('{'x' * 300}')",
            2,
            f"error: {'x' * 300}: File name too long; give another path, or mend its rights\n",
        ),
        (
            "from chat.cli import UserError; print('Hi'); raise UserError('--x a\\nb: bad; mend it')",
            2,
            "error: --x a b: bad; mend it\n",
        ),
        (
            r"from chat.cli import UserError; print('Hi'); raise UserError('--x \x1b]0;a\x07: bad; mend it')",
            2,
            "error: --x \ufffd]0;a\ufffd: bad; mend it\n",
        ),
        (
            r"import logging; print('Hi'); logging.warning('%s was \x1b]0;a\x07', '--x')",
            0,
            "--x was \ufffd]0;a\ufffd\n",
        ),
    ],
)
def test_an_entry_point_ends_with_its_status(does, status, told):
    done = entry_point(does, "", capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (status, "Hi\n", told)


def test_a_module_of_this_project_that_is_missing_is_a_defect():
    done = entry_point("import chat.nowhere", "", capture_output=True)
    assert done.returncode == 1 and "No module named 'chat.nowhere'" in done.stderr


def test_another_error_of_the_system_is_not_taken_for_stdouts():
    done = entry_point("open('/nowhere/at/all')", "", capture_output=True)
    assert done.returncode == 1 and "FileNotFoundError" in done.stderr and "stdout" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_is_no_error(unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    done = entry_point("print('Hi')", unbuffered, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_log_can_be_read_while_the_program_runs(tmp_path):
    code = "import time; from chat.cli import run; run(lambda: (print('ready'), time.sleep(60)))"
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=log) as program,
    ):
        deadline = time.monotonic() + 30
        while not (found := (tmp_path / "log").read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        program.kill()
    assert found == "ready\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_program_whose_streams_are_closed_runs(closed):
    """As services start them."""
    code = (
        "import sys; from chat.cli import run; run(lambda: print(sys.stdin.read(), 'ran', file=sys.stderr))"
    )
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {closed}"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, input="")
    assert done.returncode == 0 and (" ran" in done.stderr) == (closed != "2>&-"), done.stderr


def test_characters_that_stdout_has_not_become_others():
    code = "from chat.cli import run; run(lambda: print('better \u2191'))"
    given = {"env": {**os.environ, "PYTHONIOENCODING": "cp1252"}, "cwd": ROOT}
    assert subprocess.check_output([sys.executable, "-c", code], **given) == b"better ?\n"


def test_help_says_how_the_command_is_given_and_each_default_once(capsys, monkeypatch):
    @dataclass(frozen=True)
    class Given:
        results: str = field(metadata={"help": "Folders."})
        loud: bool = field(default=True, metadata={"help": "Be loud."})
        model: str | None = field(default=None, metadata={"help": "Path (default: the newest)."})
        steps: int = field(default=3, metadata={"help": "Steps."})

    monkeypatch.setattr("__main__.__spec__", ModuleSpec("eval.__main__", None))
    with pytest.raises(SystemExit):
        parse_arguments(Given, ["--help"], positional="results")
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("usage: python -m eval [-h] ")
    assert "RESULTS Folders. Before all flags the values may stand alone. --loud" in said
    assert "--no_loud, --no-loud The same as --loud false. --model" in said
    assert "Path (default: the newest). --steps" in said and "Steps. (default: 3) --config" in said
