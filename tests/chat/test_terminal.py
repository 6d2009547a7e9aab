"""The terminal chat, as a process."""

import os
import subprocess
import sys

from tests.conftest import ROOT


def chat(*flags: str, said: str = "", **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "chat", *flags],
        input=said,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


def test_a_piped_conversation_until_exit(model_folder):
    done = chat("--model", str(model_folder), "--seed", "1", said="Hi!\n\nHow are you?\nexit\nnot read\n")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[1:]][:1] == ["You"]
    assert lines[1] == "You: Hi!" and lines[2].startswith("GPT-2: ")
    assert "You: How are you?" in lines and "not read" not in done.stdout
    assert "Traceback" not in done.stderr


def test_model_id_names_the_model(model_folder):
    done = chat(said="", MODEL_ID=str(model_folder))
    assert done.returncode == 0 and str(model_folder) in done.stdout


def test_bad_input_is_one_line_and_a_failing_status():
    done = chat("--model", "./nowhere")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: --model ./nowhere: no such file or folder")
    assert "Traceback" not in done.stderr
