"""A model by its Hub id, over real HTTP on loopback: downloaded and exported once, and then there offline."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.hub_server import client_environment, hub


@pytest.mark.slow
def test_chatting_with_a_model_of_the_hub(model_folder, tmp_path):
    def chat() -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "chat", "--model", "someone/model", "--engine", "openvino", "--seed", "1"],
            cwd=ROOT,
            input="Hi!\n",
            capture_output=True,
            text=True,
            env={**os.environ, **own},
            timeout=120,
        )

    with hub({("model", "someone/model"): model_folder}) as endpoint:
        own = client_environment(endpoint, tmp_path)
        online = chat()
    assert online.returncode == 0, online.stderr
    assert "GPT-2: " in online.stdout
    offline = chat()
    assert offline.returncode == 0, offline.stderr
    assert offline.stdout == online.stdout
    assert "Exporting" in online.stderr and "Exporting" not in offline.stderr
