"""The libraries of engines and exports, where they look for what is not there."""

import subprocess
import sys

from tests.conftest import ROOT

IMPORTS = """
import os, pwd

def unknown(number):
    raise KeyError(number)

pwd.getpwuid = unknown
from chat.quiet import without_telemetry
with without_telemetry():
    import openvino_genai
print(os.environ.get("HOME"))
"""


def test_openvino_starts_for_a_user_without_a_home():
    done = subprocess.run([sys.executable, "-c", IMPORTS], cwd=ROOT, env={}, capture_output=True, text=True)
    assert done.stdout == "None\n", done.stderr


def test_it_does_not_complain_of_a_home_that_is_no_folder():
    home = {"HOME": "/dev/null"}
    done = subprocess.run([sys.executable, "-c", IMPORTS], cwd=ROOT, env=home, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("/dev/null\n", "")
