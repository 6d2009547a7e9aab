"""Fixtures: no network, a tokenizer learnt in memory, and tiny random GPT-2s."""

import errno
import gc
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import certifi
import pytest

from chat.cli import UserError
from tests.tiny_models import TINY, saved_gpt2

# What the libraries cache stays out of the user's home, in processes that tests start, too.
CACHE = TemporaryDirectory(prefix="tests-", ignore_cleanup_errors=True)
os.environ["HF_HOME"] = CACHE.name
os.environ["GPT2_CHAT_CACHE"] = str(Path(CACHE.name) / "exports")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ACCELERATE_USE_CPU"] = "true"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# Each client reads the certificates that it trusts, though none is asked for: one is sooner read than all.
CERTIFICATE = Path(CACHE.name) / "certificate.pem"
CERTIFICATE.write_text(
    certifi.contents().partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n"
)
os.environ["SSL_CERT_FILE"] = str(CERTIFICATE)

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data_scripts" / "sample"
SAMPLE_CORPORA = [f"cornell={SAMPLE / 'movie-corpus'}", f"personachat={SAMPLE / 'persona-chat'}"]


def wait_until(holds: Callable[[], object], seconds: float = 60) -> None:
    """Waits for what another thread or process brings about."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} seconds"
        time.sleep(0.01)


def no_room(*_, **__) -> None:
    """In the place of what writes to a disk that is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def change_json(file: Path, **changes) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@contextmanager
def refused(*parts: str, begins: str = "") -> Iterator[None]:
    """What is done in the block is refused in one line, which begins so and has these parts."""
    with pytest.raises(UserError) as error:
        yield
    line = str(error.value)
    assert line.startswith(begins) and all(part in line for part in parts) and "\n" not in line, line


# What collecting the tests imports stays: looking through two million such objects takes the collector half a
# second, and libraries of ours and others collect often.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def imported_by_now():
    """What the module and its fixtures import stays, too."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def no_accelerator():
    """Hides one that no environment variable hides, such as MPS."""
    import torch

    with pytest.MonkeyPatch.context() as session:
        session.setattr(torch.accelerator, "is_available", lambda *_: False)
        yield


@pytest.fixture
def sigterm():
    """What the test makes of this signal ends with it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def base_tokenizer_folder(tmp_path_factory) -> Path:
    """A byte-level BPE of 400 tokens in GPT-2's class, without our chat format."""
    from data_scripts.train_tokenizer import train_tokenizer

    text = (SAMPLE / "movie-corpus" / "utterances.jsonl").read_text(encoding="utf-8")
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(text.splitlines()[:200], vocab_size=400).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(base_tokenizer_folder):
    """The tokenizer with our chat format."""
    from transformers import AutoTokenizer

    from chat.template import add_chat_format

    return add_chat_format(AutoTokenizer.from_pretrained(base_tokenizer_folder))


@pytest.fixture(scope="session")
def tiny_config_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.json"
    path.write_text(json.dumps(TINY))
    return path


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory, tokenizer) -> Path:
    """A tiny GPT-2 of random weights with tokenizer and generation defaults, as training saves it."""
    return saved_gpt2(tokenizer, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, base_tokenizer_folder) -> Path:
    """The sample corpora, tokenised."""
    from data_scripts.arguments import PrepareArguments
    from data_scripts.prepare import prepare

    output = tmp_path_factory.mktemp("prepared") / "data"
    prepare(
        PrepareArguments(corpora=SAMPLE_CORPORA, output=str(output), tokenizer=str(base_tokenizer_folder))
    )
    return output
