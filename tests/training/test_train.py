"""Short runs to the end: the loss falls, the final model is whole, a killed run goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from chat.cli import UserError
from tests.conftest import ROOT, no_room, refused
from tests.processes import contents, python
from tests.training.conftest import flags_of
from training.checkpoints import checkpoints, last_whole_checkpoint
from training.final_model import check_place, model_folder_contents
from training.train import train
from training.trainer import DialogueTrainer


def logged(trainer, figure):
    return [entry[figure] for entry in trainer.state.log_history if figure in entry]


def test_a_run_learns_and_its_model_loads_without_our_code(short_run, tmp_path):
    steps = {"max_steps": 12, "save_every_steps": 6, "eval_every_steps": 6}
    trainer = train(short_run(**steps, learning_rate=5e-3, tensorboard=True))
    losses = logged(trainer, "loss")
    assert len(losses) == 12 and losses[-1] < losses[0] - 0.3
    assert len(logged(trainer, "eval_loss")) == 2
    assert list((tmp_path / "run").rglob("events.out.tfevents*"))

    final = tmp_path / "final"
    assert {"model.safetensors", "tokenizer.json", "chat_template.jinja", "generation_config.json"} <= {
        path.name for path in final.iterdir()
    }
    # As a container with another user reads it.
    assert len({path.stat().st_mode for path in final.iterdir() if path.is_file()}) == 1
    assert json.loads((final / "config.json").read_text())["use_cache"]
    assert json.loads((final / "train_arguments.json").read_text())["max_steps"] == 12
    assert json.loads((final / "trainer_state.json").read_text())["global_step"] == 12
    tokenizer, model = AutoTokenizer.from_pretrained(final), AutoModelForCausalLM.from_pretrained(final)
    trained = trainer.accelerator.unwrap_model(trainer.model).state_dict()
    assert all(torch.equal(weights, trained[name]) for name, weights in model.state_dict().items())
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi!"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    assert model.generate(**prompt).shape[1] <= prompt["input_ids"].shape[1] + 60
    assert tokenizer.model_max_length == model.config.max_position_embeddings


def test_a_run_that_is_resumed_at_its_end_only_saves_its_model_again(short_run, tmp_path, caplog):
    from transformers import GenerationConfig

    said = "this run has ended already, at step 6: nothing is left to do"
    with caplog.at_level("INFO"):
        train(short_run())
        assert "has ended already" not in caplog.text
        weights = (tmp_path / "final" / "model.safetensors").read_bytes()
        trainer = train(short_run(resume=True, temperature=1.2, top_p=0.5))
        assert caplog.text.count(said) == 1
    assert trainer.state.global_step == 6 and not logged(trainer, "loss")[6:]
    assert not logged(trainer, "train_loss")
    assert (tmp_path / "final" / "model.safetensors").read_bytes() == weights
    saved = GenerationConfig.from_pretrained(tmp_path / "final")
    assert (saved.temperature, saved.top_p) == (1.2, 0.5)


def test_a_run_that_is_resumed_at_its_end_saves_the_same_bytes(short_run, tmp_path):
    """Else the Hub would get a second commit of the model, and its tag would be on the first."""
    for changes in (
        {"max_steps": 3, "eval_every_steps": 2},
        {"max_steps": 9, "eval_every_steps": 1, "early_stopping_patience": 1, "learning_rate": 3.0},
    ):
        name = f"{changes['max_steps']} steps"
        trainer = train(short_run(name, **changes))
        saved = contents(tmp_path / name / "final")
        train(short_run(name, **changes, resume=True))
        assert contents(tmp_path / name / "final") == saved
    assert trainer.state.best_global_step < trainer.state.global_step < 9


def test_a_resumed_run_takes_the_last_whole_checkpoint_and_ends_like_an_unbroken_one(short_run, tmp_path):
    unbroken = train(short_run("unbroken"))
    train(short_run(max_steps=6))
    (tmp_path / "run" / "checkpoint-6" / "trainer_state.json").unlink()
    assert last_whole_checkpoint(tmp_path / "run").name == "checkpoint-4"
    resumed = train(short_run(resume=True))
    assert resumed.state.global_step == 6
    for a, b in zip(unbroken.model.parameters(), resumed.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


IN_FOLDERS_OF_ITS_OWN = """
import sys, time
from training.resuming import alone
with alone(sys.argv[1]), alone(sys.argv[2]):
    print("begun", flush=True)
    time.sleep(600)
"""


def test_a_run_that_goes_on_without_its_launcher_shares_its_folder_with_no_other(short_run, tmp_path):
    """Neither with a new run nor with one that is resumed."""
    folders = {False: tmp_path / "new", True: tmp_path / "resumed"}
    command = [sys.executable, "-c", IN_FOLDERS_OF_ITS_OWN, *map(str, folders.values())]
    other = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "begun\n"
        for resume, folder in folders.items():
            half = folder / "checkpoint-2"
            half.mkdir()
            with pytest.raises(UserError, match=rf"--output-dir {folder}: another process trains there, per"):
                train(short_run(output_dir=str(folder), resume=resume))
            assert half.is_dir()
            half.rmdir()
    finally:
        other.kill()
        other.communicate()
    for resume, folder in folders.items():
        trainer = train(short_run(output_dir=str(folder), max_steps=1, resume=resume))
        assert trainer.state.global_step == 1 and not (folder / ".lock").exists()


def test_resuming_without_a_checkpoint_begins_and_says_so(short_run, caplog):
    assert train(short_run(max_steps=1, resume=True)).state.global_step == 1
    assert "no whole checkpoint" in caplog.text


def test_an_earlier_run_is_never_mixed_with_a_new_one(short_run, tmp_path):
    (tmp_path / "run" / "checkpoint-2").mkdir(parents=True)
    with pytest.raises(
        UserError, match=r"--output-dir .*holds checkpoints of an earlier run; go on .* --resume"
    ):
        train(short_run())


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        (None, "no such folder"),
        ("stats.json", "it has no `stats.json`"),
        ("tokenizer", "it has no `tokenizer`"),
    ],
)
def test_data_that_is_not_whole_is_refused(short_run, tmp_path, prepared, part, problem):
    data = tmp_path / "data"
    if part:
        shutil.copytree(prepared, data, ignore=shutil.ignore_patterns(part))
    with refused(begins=f"--data {data}: {problem}"):
        train(short_run(data=str(data)))


def test_a_foreign_final_folder_is_refused_before_training(short_run, tmp_path):
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"--final-model-dir .*already holds something else"):
        train(short_run())
    assert not (tmp_path / "run").exists()


def test_a_final_folder_that_cannot_be_written_is_refused_before_training(short_run, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--final-model-dir .*file/final: cannot be written"):
        train(short_run(final_model_dir=str(tmp_path / "file" / "final")))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    # The other processes of a run write no model.
    monkeypatch.setenv("RANK", "1")
    check_place(short_run(final_model_dir=str(tmp_path / "file" / "final")))


def test_a_model_that_cannot_be_saved_after_all_is_saved_by_its_checkpoints(short_run, tmp_path, monkeypatch):
    with monkeypatch.context() as disk:
        disk.setattr("training.train.save_weights", no_room)
        with pytest.raises(UserError) as refused:
            train(short_run(max_steps=2))
    assert str(refused.value) == (
        f"--final-model-dir {tmp_path / 'final'}: cannot be written ([Errno 28] No space left on device); "
        "make room, or give another folder; the checkpoints are whole: give the same command again with "
        "--resume, which trains no further step"
    )
    other = tmp_path / "other"
    assert train(short_run(max_steps=2, resume=True, final_model_dir=str(other))).state.global_step == 2
    assert (other / "model.safetensors").is_file()


def test_an_output_of_links_in_a_circle_is_named(short_run, tmp_path):
    (tmp_path / "around").symlink_to(tmp_path / "around")
    with pytest.raises(UserError, match=r"^--output-dir .*around: cannot be written \("):
        train(short_run(output_dir=str(tmp_path / "around")))


def test_a_run_does_not_write_its_arguments_over_those_of_a_model(short_run, model_folder, tmp_path):
    for earlier in ("train_arguments.json", "prefer_arguments.json"):
        folder = shutil.copytree(model_folder, tmp_path / earlier)
        (folder / earlier).write_text("{}")
        with pytest.raises(UserError, match=rf"--output-dir .*{earlier}: holds a model, .* another folder"):
            train(short_run(output_dir=str(folder)))
        assert (folder / earlier).read_text() == "{}" and not [*folder.glob("checkpoint-*")]


def test_a_model_does_not_take_the_place_of_a_run(short_run, tmp_path):
    """Both hold the run's arguments, by which a model's folder is known."""
    (tmp_path / "other" / "checkpoint-4").mkdir(parents=True)
    (tmp_path / "other" / "train_arguments.json").write_text("{}")
    with pytest.raises(UserError, match=r"--final-model-dir .*other: .*holds `checkpoint-4`"):
        train(short_run(final_model_dir=str(tmp_path / "other")))
    (tmp_path / "link").symlink_to(tmp_path / "final")
    for output_dir in (tmp_path / "final", tmp_path / "final" / "run", tmp_path / "link" / "run"):
        with pytest.raises(
            UserError, match=r"--final-model-dir .*final: would take the place of --output-dir"
        ):
            train(short_run(output_dir=str(output_dir)))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--output-dir .*file: is a file"):
        train(short_run(output_dir=str(tmp_path / "file")))
    assert (tmp_path / "other" / "checkpoint-4").is_dir()


def test_a_models_folder_holds_what_is_made_of_a_model_and_no_run(tmp_path):
    ours = {"model.safetensors", "README.md", "LICENSE", "onnx", "openvino", "data.jsonl", "merges.txt"}
    ours |= {"report.html", "loss.png"}
    for name in (*ours, "checkpoint-4", "runs"):
        (tmp_path / name).mkdir()
        foreign = model_folder_contents("train_arguments.json").foreign_in(tmp_path)
        assert foreign == (None if name in ours else name)
        (tmp_path / name).rmdir()


def test_what_is_pushed_is_named_by_the_step_of_its_weights(short_run, monkeypatch):
    pushed = []
    measured = DialogueTrainer.evaluation_loop

    def ever_worse(self, *arguments, **options):
        output = measured(self, *arguments, **options)
        output.metrics["eval_loss"] += self.state.global_step
        return output

    monkeypatch.setattr(DialogueTrainer, "evaluation_loop", ever_worse)
    monkeypatch.setattr("training.hub.begin", lambda *_: None)
    monkeypatch.setattr("training.hub.publish_final_model", lambda *given: pushed.append(given[-1]))
    changes = {"push_to_hub": "someone/chat", "hub_strategy": "end"}
    trainer = train(short_run(**changes, max_steps=4, eval_every_steps=3))
    assert (trainer.state.best_global_step, trainer.state.global_step, pushed) == (3, 4, [3])


def launched(arguments) -> list[str]:
    """What follows `python` in the command of the README for these arguments, on one process."""
    launcher = ["-m", "accelerate.commands.launch", "--quiet", "--num_processes", "1"]
    return [*launcher, *flags_of(arguments)]


@pytest.mark.slow
def test_a_killed_launch_goes_on(short_run, tmp_path):
    run, steps = tmp_path / "run", {"max_steps": 40, "save_every_steps": 10}
    process = subprocess.Popen(
        [sys.executable, *launched(short_run(**steps))],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while last_whole_checkpoint(run) is None:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "final").exists()
    result = python(*launched(short_run(**steps, resume=True)))
    assert result.returncode == 0, result.stderr
    assert "resuming from" in result.stderr and (tmp_path / "final" / "model.safetensors").exists()
    assert checkpoints(run)[-1].name == "checkpoint-40"


@pytest.mark.slow
def test_the_command_reports_an_error_in_one_line(short_run):
    result = python(*launched(short_run(data="nowhere")))
    # The launcher's, whatever the command's; the README says so.
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "error: --data nowhere: no such folder; make a tokenised dataset" in result.stderr


def test_weights_may_be_saved_in_half_precision_and_small_files(short_run, tmp_path):
    from safetensors.torch import load_file

    wider = {"model_type": "gpt2", "n_layer": 1, "n_embd": 256, "n_head": 2, "n_positions": 256}
    (tmp_path / "wider.json").write_text(json.dumps(wider))
    options = {"final_model_dtype": "float16", "final_model_shard_mb": 1}
    trainer = train(short_run(base=str(tmp_path / "wider.json"), max_steps=2, **options))
    final = tmp_path / "final"
    files = sorted(final.glob("*.safetensors"))
    assert len(files) > 1 and all(file.stat().st_size <= 1e6 for file in files)
    assert json.loads((final / "config.json").read_text())["dtype"] == "float16"
    trained = trainer.accelerator.unwrap_model(trainer.model).state_dict()
    names = [name for file in files for name in load_file(file)]
    assert len(names) == len(set(names)) == len(trained) - 1  # the output layer is the embeddings
    for name, weights in AutoModelForCausalLM.from_pretrained(final).state_dict().items():
        assert weights.dtype == torch.float16 and torch.equal(weights, trained[name].half())
