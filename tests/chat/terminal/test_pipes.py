"""The terminal chat for scripts: pipes, one reply, exit statuses."""

import os
import subprocess
import sys
from io import StringIO

import pytest

from chat.__main__ import main
from chat.cli import UserError, parse_arguments
from chat.terminal.arguments import ChatArguments
from chat.terminal.conversation import answer_once, converse
from chat.terminal.lines import PipedLines, lines_for
from chat.terminal.screen import PlainScreen
from tests.conftest import ROOT
from tests.processes import in_process, python


def chat(*flags: str, said: str = "", **environment: str) -> subprocess.CompletedProcess:
    return python("-m", "chat", *flags, environment=environment, says=said, timeout=300)


@pytest.mark.slow
def test_a_piped_conversation_until_exit(model_folder):
    done = chat("--model", str(model_folder), "--seed", "1", said="Hi!\n\nHow are you?\nexit\nnot read\n")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[1:]][:1] == ["You"]
    assert lines[1] == "You: Hi!" and lines[2].startswith("GPT-2: ")
    assert "You: How are you?" in lines and "not read" not in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_model_id_names_the_model(model_folder):
    done = chat(said="", MODEL_ID=str(model_folder))
    assert done.returncode == 0 and str(model_folder) in done.stdout


def test_bad_input_is_one_line_and_a_failing_status(monkeypatch):
    done = chat("--model", "./nowhere")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: --model ./nowhere: no such file or folder")
    assert "Traceback" not in done.stderr
    monkeypatch.setenv("MODEL_ID", "./nowhere")
    named = in_process(main)
    assert named.stderr.splitlines()[-1].startswith("error: MODEL_ID ./nowhere: no such file or folder")


def here(*flags: str, said: str) -> subprocess.CompletedProcess:
    with pytest.MonkeyPatch.context() as given:
        given.setattr(sys, "stdin", StringIO(said))
        return in_process(main, *flags)


@pytest.mark.parametrize("chat", [pytest.param(chat, marks=pytest.mark.slow), here])
def test_once_prints_the_reply_and_nothing_else(model_folder, chat):
    flags = ("--model", str(model_folder), "--engine", "torch", "--seed", "1", "--max-new-tokens", "9")
    done = chat("--once", "/help", *flags, "--temperature", "9", said="not read\n")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1 and not done.stdout.startswith("GPT-2")
    assert done.stderr == "temperature 9.0 is not possible: 1.5 is taken\n"


def test_the_flags_reach_the_engine(engine, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(engine, "stream", lambda *given: asked.append(given) or iter(["Hello."]))
    flags = ["--persona", *["I sing."] * 9, "--once", "Hi!", "--greedy", "--seed", "0", "--top-k", "0"]
    answer_once(engine, parse_arguments(ChatArguments, flags), PlainScreen(sys.stdout))
    [(messages, settings, *_)] = asked
    assert "I sing. " * 7 + "I sing." in messages[0]["content"] and messages[-1]["content"] == "Hi!"
    assert (settings.do_sample, settings.seed, settings.top_k) == (False, 0, 0)
    printed, errors = capsys.readouterr()
    assert printed == "Hello.\n" and "the rest was left out" in errors


@pytest.mark.parametrize(
    ("terminals", "is_keyboard", "echoed"),
    [
        (["stdin", "stdout", "stderr"], True, ""),
        (["stdin", "stderr"], True, "You: Hi!\n"),
        (["stdin"], False, ""),
        (["stdout", "stderr"], False, ""),
    ],
)
def test_there_is_a_keyboard_where_a_terminal_shows_what_is_typed(
    monkeypatch, terminals, is_keyboard, echoed
):
    """What is typed is in the output, too, where that goes elsewhere."""
    ours, theirs = os.openpty()
    with open(ours, "wb"), open(theirs, "w") as terminal:
        for name in ("stdin", "stdout", "stderr"):
            monkeypatch.setattr(sys, name, terminal if name in terminals else StringIO())
        output = StringIO()
        lines = lines_for(sys.stdin, PlainScreen(output), {})
        assert lines.is_keyboard == is_keyboard
        if is_keyboard:
            monkeypatch.setattr(lines._prompt, "prompt", lambda **_: " Hi! ")
            assert lines.read() == "Hi!"
        assert output.getvalue() == echoed


@pytest.mark.parametrize("is_keyboard", [False, True])
def test_whoever_types_is_told_the_persona_first(engine, monkeypatch, is_keyboard):
    monkeypatch.setattr(PipedLines, "is_keyboard", is_keyboard)
    monkeypatch.setattr(sys, "stdin", StringIO("exit\n"))
    output = StringIO()
    converse(engine, parse_arguments(ChatArguments, ["--persona", "I sing."]), PlainScreen(output))
    assert ("It says of itself: I sing.\n" in output.getvalue()) is is_keyboard


def test_the_mark_that_windows_puts_before_a_text_is_no_part_of_the_first_line():
    lines = PipedLines(StringIO("\ufeff/persona I sing.\nHi!\n"), PlainScreen(StringIO()))
    assert [lines.read(), lines.read()] == ["/persona I sing.", "Hi!"]


def test_once_needs_a_text():
    with pytest.raises(UserError, match=r"^--once: has no text; give a message, such as"):
        parse_arguments(ChatArguments, ["--once", " "])


@pytest.mark.slow
def test_a_script_is_told_what_failed_and_the_rest_is_done(model_folder, tmp_path):
    said = f"/sav x\nHi!\n/save {tmp_path / 'talk.json'}\n\ud83d".encode("utf-8", "surrogatepass")
    command = [sys.executable, "-m", "chat", "--model", str(model_folder), "--engine", "torch", "--seed", "1"]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, input=said, capture_output=True, timeout=300, cwd=ROOT, env=ascii_only)
    errors = done.stderr.decode().splitlines()
    assert done.returncode == 2 and errors[0].startswith("/sav: no such command (did you mean `/save`?)")
    assert errors[-1] == "error: 1 of the lines could not be obeyed or answered; see above"
    assert (tmp_path / "talk.json").is_file() and b"\x1b[" not in done.stdout


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_traceback(model_folder):
    command = [sys.executable, "-m", "chat", "--model", str(model_folder), "--engine", "torch"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        process.stdout.close()
        process.stdin.write(b"Hi!\n" * 3)
        process.stdin.close()
        errors = process.stderr.read().decode()
        process.wait(timeout=300)
    assert "Traceback" not in errors and process.returncode == 141


@pytest.mark.slow
@pytest.mark.parametrize("flags", [["--once", "Hi!"], []])
def test_a_full_disk_is_one_line(model_folder, flags):
    command = [sys.executable, "-m", "chat", "--model", str(model_folder), "--engine", "torch", *flags]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, input="Hi!\n", stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, cwd=ROOT
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: stdout: cannot be written (") and done.stderr.count("\n") == 1
