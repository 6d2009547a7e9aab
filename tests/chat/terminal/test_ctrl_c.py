"""Ctrl-C while a reply is drawn, and leaving."""

import asyncio
import json
import operator
import os
import pkgutil
import select
import signal
import subprocess
import sys
import termios
import threading
import time
import tty
from io import StringIO

import psutil
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from chat.terminal.conversation import LEAVING
from chat.terminal.lines import Keyboard, PipedLines
from chat.terminal.stopping import CtrlC
from tests.chat.terminal.conftest import CTRL_C, CTRL_D, ENTER, typist
from tests.conftest import ROOT

SLOW = ("--engine", "torch", "--temperature", "1.5", "--top-p", "1", "--max-new-tokens", "200", "--seed", "3")


def cpu_seconds(user) -> float:
    times = psutil.Process(user.process.pid).cpu_times()
    return times.user + times.system


def replies(user) -> list[list[str]]:
    """Of each reply the lines that are shown of it so far."""
    found: list[list[str]] = []
    for line in user.lines():
        if line.startswith("GPT-2:"):
            found.append([line])
        elif found and not line.startswith(("You:", "Stopped")):
            found[-1].append(line)
    return found


def begin_a_reply(user) -> None:
    before = len(replies(user))
    user.keys("Tell me everything.\r")
    user.until(lambda: len(replies(user)) > before and len(" ".join(replies(user)[-1]).split()) > 2)


def stopped(*_):
    """As `ChatEngine.stream`, with Ctrl-C after the first word."""
    yield "Once"
    signal.raise_signal(signal.SIGINT)
    yield "Once upon"


def test_of_a_script_it_is_the_end_after_what_was_said_till_then(talk, engine, monkeypatch):
    conversation, _ = talk("/help")
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(engine, "stream", stopped)
    with pytest.raises(KeyboardInterrupt):
        talk("Hi!", "And more.", conversation=conversation)
    assert [turn["content"] for turn in conversation.session.turns] == ["Hi!", "Once"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_does_not_cut_the_clean_up_and_a_third_ends_what_hangs():
    cleaned = []

    def texts():
        try:
            yield from stopped()
        finally:
            signal.raise_signal(signal.SIGINT)
            cleaned.append(True)

    with CtrlC() as ctrl_c:
        assert [*ctrl_c.until_pressed(texts())] == ["Once"] and cleaned
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_while_a_text_is_shown_it_lets_no_other_follow():
    with CtrlC() as ctrl_c:
        for text in ctrl_c.until_pressed(each for each in ("Once", "Once upon")):
            assert text == "Once"
            signal.raise_signal(signal.SIGINT)


def test_at_a_keyboard_two_leave_between_which_there_is_no_line(talk, engine, monkeypatch):
    read = PipedLines.read

    def read_or_press(lines: PipedLines) -> str:
        if (line := read(lines)) == "press":
            raise KeyboardInterrupt
        return line

    monkeypatch.setattr(PipedLines, "is_keyboard", True)
    monkeypatch.setattr(PipedLines, "read", read_or_press)
    monkeypatch.setattr(engine, "stream", stopped)
    conversation, printed = talk("press", "Hi!", "/reset", "press", "Ah.", "press", "not read")
    assert [turn["content"] for turn in conversation.session.turns] == ["Ah.", "Once"]
    assert printed.count(LEAVING) == 4 and "not read" not in printed


@pytest.fixture
def no_running_loop():
    """The page's tests, where they ran in this process before, have left Playwright's."""
    before = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(before)


@pytest.mark.usefixtures("no_running_loop")
@pytest.mark.parametrize(
    ("typed_before", "place"),
    [
        ("", "asyncio.Runner.run"),
        ("", "prompt_toolkit.application.Application.reset"),
        ("Hi!\r", "prompt_toolkit.application.Application.cancel_and_wait_for_background_tasks"),
        ("Hi!\r", "asyncio.Runner.close"),
    ],
)
def test_wherever_the_prompt_begins_or_ends_it_is_seen_once_and_breaks_nothing(
    monkeypatch, typed_before, place
):
    """The terminal gives it as a signal there, and not as a key."""
    with create_pipe_input() as typed, create_app_session(input=typed, output=DummyOutput()):
        keyboard = Keyboard({}, StringIO())
        owner, _, name = place.rpartition(".")
        inner = operator.attrgetter(name)(pkgutil.resolve_name(owner))

        def pressed(*given, **options):
            monkeypatch.undo()
            signal.raise_signal(signal.SIGINT)
            return inner(*given, **options)

        monkeypatch.setattr(place, pressed)
        typed.send_text(typed_before)
        lost = threading.Timer(5, typed.send_text, ["lost\r"])
        lost.start()
        with pytest.raises(KeyboardInterrupt):
            keyboard.read()
        lost.cancel()
        typed.send_text("And you?\r")
        assert keyboard.read() == "And you?"


@pytest.mark.slow
def test_once_stops_the_reply_and_twice_leaves(slow_model, tmp_path):
    with typist("--model", str(slow_model), *SLOW, cwd=tmp_path) as user:
        begin_a_reply(user)
        user.keys(CTRL_C)
        user.until(lambda: user.lines()[-2:] == ["Stopped. Ctrl-C again leaves, as does `exit`.", "You:"])
        before = cpu_seconds(user)
        time.sleep(1.5)
        assert cpu_seconds(user) - before < 0.7
        user.say("/save stopped.json")
        kept = json.loads((tmp_path / "stopped.json").read_text(encoding="utf-8"))["turns"]
        assert [turn["role"] for turn in kept] == ["user", "assistant"]
        [shown] = replies(user)
        assert kept[0]["content"] == "Tell me everything." and shown[0].split()[1] in kept[1]["content"]
        begin_a_reply(user)
        user.keys(CTRL_C)
        user.until(lambda: user.lines()[-2].startswith("Stopped.") and user.is_asked())
        user.keys(CTRL_C)
        assert user.ends() == 0
        assert "Traceback" not in "\n".join(user.lines())


@pytest.mark.slow
def test_what_is_typed_during_a_reply_is_not_shown_in_it_but_at_the_next_prompt(slow_model):
    with typist("--model", str(slow_model), *SLOW, "--max-new-tokens", "40") as user:
        begin_a_reply(user)
        user.keys("typed ahead")
        user.until(lambda: user.lines()[-1] == "You: typed ahead")
        assert "typed ahead" not in " ".join(replies(user)[0])


def test_ctrl_d_during_a_reply_is_kept_for_the_prompt(monkeypatch):
    ours, theirs = os.openpty()
    with open(ours, "wb", buffering=0) as keyboard, open(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        before = termios.tcgetattr(terminal)
        with Keyboard({}, StringIO()).unseen():
            keyboard.write(f"{CTRL_D}{ENTER}".encode())
            # The kernel hands it over by and by.
            assert select.select([terminal], [], [], 60)[0]
        assert termios.tcgetattr(terminal) == before
        tty.setraw(terminal, termios.TCSADRAIN)
        assert os.read(theirs, 1) == CTRL_D.encode()


@pytest.mark.slow
def test_ctrl_d_during_a_reply_leaves_after_it(slow_model):
    with typist("--model", str(slow_model), *SLOW, "--max-new-tokens", "40") as user:
        begin_a_reply(user)
        user.keys(CTRL_D)
        assert user.ends() == 0


@pytest.mark.slow
def test_an_empty_prompt_is_left_by_two_or_by_ctrl_d(model_folder):
    with typist("--model", str(model_folder), "--engine", "torch") as user:
        user.keys(CTRL_C)
        user.until(lambda: user.lines()[-2:] == ["Ctrl-C again leaves, as does `exit`.", "You:"])
        user.keys(CTRL_C)
        assert user.ends() == 0
    with typist("--model", str(model_folder), "--engine", "torch") as user:
        user.keys(CTRL_D)
        assert user.ends() == 0


@pytest.mark.slow
def test_two_during_a_reply_leave(slow_model):
    with typist("--model", str(slow_model), *SLOW) as user:
        begin_a_reply(user)
        user.keys(CTRL_C)
        # Two at the same moment are one to the process.
        time.sleep(0.02)
        user.keys(CTRL_C)
        assert user.ends() == 0 and "Traceback" not in "\n".join(user.lines())


@pytest.mark.slow
def test_the_embedded_model_is_stopped_and_answers_again():
    flags = ("--model", str(ROOT / "models/pocket"), "--engine", "openvino", "--best-of", "1")
    with typist(*flags, "--max-new-tokens", "200") as user:
        for delay in (0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1):
            user.keys("Tell me a very long story, please.\r")
            user.until(lambda: user.lines()[-1].startswith("GPT-2:") or user.is_asked())
            time.sleep(delay)
            user.keys(CTRL_C)
            user.until(user.is_asked)
            assert user.say("How are you?")[-1]
        user.keys("exit\r")
        assert user.ends() == 0 and "Traceback" not in "\n".join(user.lines())


@pytest.mark.slow
def test_no_colours_where_the_user_wants_none(model_folder):
    with typist("--model", str(model_folder), "--engine", "torch", NO_COLOR="1") as user:
        user.say("Hi!")
        assert b"GPT-2: " in user.sent
        assert not any(
            f"\x1b[{codes}m".encode() in user.sent for codes in ("1;32", "2", "1;36", "0;1;36", "33")
        )


@pytest.mark.slow
def test_a_script_is_ended_with_what_came_till_then(slow_model):
    command = [sys.executable, "-m", "chat", "--model", str(slow_model), *SLOW]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        process.stdin.write("Tell me everything.\nAnd more.\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith("You: Tell me"):
                break
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 130 and errors.splitlines()[-1] == "interrupted"
    assert "And more." not in output and "Traceback" not in errors
