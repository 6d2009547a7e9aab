"""The OpenVINO engine's own: errors of the pipeline, role tokens, the cache of exports, closing."""

import json
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from chat.cli import UserError
from chat.continuous_batching import Request
from chat.decoding import DecodingSettings
from chat.engine import load_engine
from tests.chat.conftest import Slow, Wrapped, left_serving, say_always, serving_threads
from tests.conftest import ROOT
from tests.processes import own_home, started

HELLO = [{"role": "user", "content": "Hello there"}]
SETTINGS = DecodingSettings(max_new_tokens=12, seed=1)


class Broken(Wrapped):
    """A pipeline whose step fails."""

    def has_non_finished_requests(self):
        return False

    def step(self):
        raise RuntimeError("the step failed")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "`openvino-genai` is not installed; use the torch engine"),
        # As of an `openvino` that is newer.
        (
            "raise ImportError('libopenvino.so.2640: cannot open shared object file')",
            r"cannot be loaded \(libopenvino.so.2640: .*\); install `openvino` in the version of `openvin",
        ),
    ],
)
def test_a_library_that_cannot_be_loaded_is_not_said_to_be_missing(
    model_folder, tmp_path, monkeypatch, content, problem
):
    if content:
        (tmp_path / "openvino_genai.py").write_text(content)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "openvino_genai", raising=False)
    else:
        monkeypatch.setitem(sys.modules, "openvino_genai", None)
    with pytest.raises(UserError, match=f"^--engine openvino: {problem}"):
        load_engine(str(model_folder), engine="openvino")


def test_an_error_in_the_pipeline_reaches_every_caller(openvino_engine, monkeypatch):
    server, before = openvino_engine._server, serving_threads()
    monkeypatch.setattr(server, "_pipeline", Broken(server._pipeline))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the step failed"):
            openvino_engine.reply(HELLO, SETTINGS)
    monkeypatch.undo()
    assert openvino_engine.reply(HELLO, SETTINGS)
    assert not left_serving(before)


class BrokenForGood(Wrapped):
    """A pipeline whose steps fail, so that it never lets go of a request that was cancelled."""

    steps = 0

    def step(self):
        self.steps += 1
        raise RuntimeError("the step failed")


def test_a_pipeline_that_goes_on_failing_is_not_stepped_for_nobody(openvino_engine, monkeypatch):
    server, before = openvino_engine._server, serving_threads()
    broken = BrokenForGood(server._pipeline)
    monkeypatch.setattr(server, "_pipeline", broken)
    try:
        with pytest.raises(RuntimeError, match="the step failed"):
            openvino_engine.reply(HELLO, SETTINGS)
        assert not left_serving(before) and broken.steps == 1 and not server._thread
    finally:
        monkeypatch.undo()
    assert openvino_engine.reply(HELLO, SETTINGS)


class CancelledBeforeItIsRead(Wrapped):
    """A request's handle whose reader cancels it just when the serving thread is about to read."""

    def can_read(self):
        can = self._pipeline.can_read()
        self._pipeline.cancel()
        return can


def test_a_reply_that_is_cancelled_while_it_is_read_harms_no_other(openvino_engine, monkeypatch):
    """The pipeline raises an error then, in the thread that serves all."""
    init = Request.__init__
    monkeypatch.setattr(
        Request,
        "__init__",
        lambda request, handle, replies: init(request, CancelledBeforeItIsRead(handle), replies),
    )
    with pytest.raises(RuntimeError, match="cannot be used after it is stopped / cancelled"):
        openvino_engine.reply(HELLO, SETTINGS)
    monkeypatch.undo()
    assert openvino_engine.reply(HELLO, SETTINGS)


def test_a_draft_that_nobody_has_begun_to_read_is_cancelled_too(openvino_engine, monkeypatch):
    """As with a frequency penalty: each draft is a request of its own, and the first is stopped."""
    server, before = openvino_engine._server, serving_threads()
    slow = Slow(server._pipeline)
    monkeypatch.setattr(server, "_pipeline", slow)
    prompt, settings = openvino_engine._prompt(HELLO, SETTINGS.changed(max_new_tokens=60, min_new_tokens=60))
    drafts = [server.outputs(prompt, openvino_engine._config(settings, seed)) for seed in range(3)]
    assert serving_threads() - before
    for draft in drafts:
        draft.close()
    assert not left_serving(before) and slow.pace.steps < 30


@pytest.fixture
def copy(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "copy")


def test_a_model_that_wants_to_forge_a_turn_cannot(copy, tokenizer):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(copy)
    say_always(model, tokenizer.convert_tokens_to_ids("<|user|>"))
    model.save_pretrained(copy)
    engine = load_engine(str(copy), engine="openvino")
    for messages in (HELLO, [{"role": "system", "content": "I forge turns."}, *HELLO]):
        assert "<|" not in engine.reply(messages, SETTINGS)
    engine.close()


def test_an_export_that_was_made_is_taken(openvino_engine, model_folder, capsys):
    load_engine(str(model_folder), engine="openvino", weights="fp32").close()
    assert "Exporting" not in capsys.readouterr().err


@pytest.mark.parametrize("best_of", [1, 2])
def test_only_a_model_that_draws_several_replies_loads_what_ranks_them(openvino_engine, copy, best_of):
    """Before the first visitor comes, who would wait for it."""
    export = shutil.copytree(openvino_engine._folder, copy / "openvino")
    (copy / "generation_config.json").write_text(json.dumps({"do_sample": True, "best_of": best_of}))
    with closing(load_engine(str(copy), engine="openvino")) as engine:
        shutil.rmtree(export)
        if best_of > 1:
            assert engine.reply(HELLO)
        else:
            with pytest.raises(RuntimeError, match=r"openvino_model\.xml"):
                engine.reply(HELLO, engine.settings.changed(best_of=2))


@pytest.mark.slow
def test_two_processes_make_one_export_between_them(model_folder, tmp_path):
    environment = {"GPT2_CHAT_CACHE": str(tmp_path / "cache")}
    command = ("-m", "chat", "--model", model_folder, "--engine", "openvino", "--once", "Hi!", "--seed", "1")
    with (
        started(*command, environment=environment) as first,
        started(*command, environment=environment) as second,
    ):
        both = [first, second]
        said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum(each.count("Exporting") for each in said) == 1
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == ["", ".lock"]


def test_an_export_beside_other_weights_is_refused(copy):
    (copy / "openvino").mkdir()
    (copy / "openvino" / "export.json").write_text('{"fingerprint": "of something else"}')
    with pytest.raises(UserError, match="was not made from the weights beside it; make it anew with"):
        load_engine(str(copy), engine="openvino")


def test_an_export_that_the_library_cannot_read_is_one_line(copy):
    """Though it is of these weights and as long as it was: a power failure leaves zeros."""
    from chat.export.cache import fingerprint, record

    (copy / "openvino").mkdir()
    (copy / "openvino" / "openvino_model.xml").write_bytes(bytes(200))
    record(copy / "openvino", fingerprint(copy), "int8")
    with pytest.raises(
        UserError, match=r"cannot be loaded \(.*Unable to read the model.+\); remove \S+openvino, which is"
    ) as error:
        load_engine(str(copy), engine="openvino")
    assert "\n" not in str(error.value)


def test_a_signal_is_handled_after_engines_were_closed(model_folder):
    """OpenVINO's signal stacks: see `chat.compiled_models.in_a_passing_thread`."""
    engines = [load_engine(str(model_folder), engine="openvino", weights="fp32") for _ in range(2)]
    for engine in engines:
        engine.reply(HELLO, SETTINGS.changed(best_of=2))
        engine.close()
    handled = []
    before = signal.signal(signal.SIGUSR1, lambda *_: handled.append(True))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert handled


def test_a_reply_under_way_ends_with_the_engine(model_folder):
    engine = load_engine(str(model_folder), engine="openvino", weights="fp32")
    engine._server._pipeline = Slow(engine._server._pipeline)
    stream = engine.stream(HELLO, SETTINGS.changed(max_new_tokens=100, min_new_tokens=100))
    next(stream)
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        list(stream)
    engine.close()


@pytest.mark.slow
def test_it_reports_to_nobody(tmp_path):
    """OpenVINO's telemetry would leave a client's id in the home, when it is imported."""
    command = [sys.executable, "-m", "chat", "--model", str(ROOT / "models" / "pocket"), "--once", "Hi!"]
    done = subprocess.run(
        [*command, "--engine", "openvino"],
        cwd=tmp_path,
        env=own_home(tmp_path),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and done.stdout and not done.stderr
    assert not (tmp_path / "intel").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="tells by Linux's /proc what is mapped")
def test_what_is_written_over_the_export_later_is_not_the_running_engines(model_folder):
    """Weights that are mapped from their file change with it, and end the process where it is cut short."""
    with closing(load_engine(str(model_folder), engine="openvino")) as engine:
        engine.log_probs([HELLO], "Hi!")
        # The files of OpenVINO's tokenizer stay mapped, which nobody asks for anything.
        mapped = Path("/proc/self/maps").read_text()
        assert str(engine._folder / "openvino_model.bin") not in mapped
