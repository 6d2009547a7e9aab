"""Evaluation by token, the best checkpoint, early stopping, samples, and any base."""

import errno
import json
import shutil

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainingArguments,
)

from chat.cli import UserError
from chat.sequences import IGNORED_LABEL
from tests.tiny_models import TINY
from tests.training.short_data import of_rows
from training.checkpoints import checkpoints, last_whole_checkpoint
from training.train import build_trainer, train
from training.trainer import labelled_logits, row_losses


def evaluations(trainer) -> list[dict]:
    return [entry for entry in trainer.state.log_history if "eval_loss" in entry]


def test_the_validation_loss_weighs_every_token_alike(short_run, prepared):
    """Whatever the batches: the mean over all reply tokens, not over batches or sequences."""
    from datasets import load_from_disk

    from training.collator import PaddedCollator

    losses = []
    for batch_size in (1, 7, 64):
        trainer = build_trainer(short_run(per_device_eval_batch_size=batch_size, max_eval_sequences=0))
        metrics = trainer.evaluate()
        losses.append(metrics["eval_loss"])
        assert metrics["eval_perplexity"] == pytest.approx(torch.tensor(metrics["eval_loss"]).exp().item())
    nats = tokens = 0
    with torch.inference_mode():
        for row in load_from_disk(str(prepared))["val"].to_list():
            row_nats, row_tokens = row_losses(trainer.model, PaddedCollator(0)([row]))
            nats, tokens = nats + row_nats.item(), tokens + row_tokens.item()
    assert losses == pytest.approx([nats / tokens] * 3, rel=1e-5)


@pytest.mark.parametrize("torch_compile", [False, True])
def test_validation_computes_the_logits_of_replies_alone(short_run, torch_compile):
    """In a compiled model their number would change its shapes, and have it compiled anew."""
    trainer = build_trainer(short_run(max_eval_sequences=5, torch_compile=torch_compile))
    [batch] = trainer.get_eval_dataloader()
    labelled = int((batch["labels"] != IGNORED_LABEL).sum())
    assert ("logits_to_keep" in batch) == (not torch_compile)
    trainer.model.eval()
    logits, tokens, _ = labelled_logits(trainer.model, batch)
    assert len(logits) == len(tokens) == labelled
    whole = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
    torch.testing.assert_close(logits, labelled_logits(trainer.model, whole)[0], rtol=1e-4, atol=1e-5)


def test_the_final_model_is_the_best_and_the_best_is_never_deleted(short_run, tmp_path):
    """A learning rate that grows until it ruins the model: the best evaluation is an early one."""
    arguments = short_run(
        max_steps=12,
        learning_rate=300.0,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=1000,
        eval_every_steps=2,
        save_every_steps=3,
        save_total_limit=1,
    )
    trainer = train(arguments)
    best = min(evaluations(trainer), key=lambda entry: entry["eval_loss"])
    assert best["step"] < 12
    kept = [path.name for path in checkpoints(tmp_path / "run")]
    assert kept == [f"checkpoint-{best['step']}", "checkpoint-12"]
    files = [tmp_path / "run" / kept[0] / "model.safetensors", tmp_path / "final" / "model.safetensors"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_early_stopping_waits_for_its_patience(short_run):
    """A learning rate of nothing: no evaluation is better than the first."""
    trainer = train(
        short_run(max_steps=50, learning_rate=1e-30, eval_every_steps=2, early_stopping_patience=3)
    )
    assert [entry["step"] for entry in evaluations(trainer)] == [2, 4, 6, 8]
    assert trainer.state.global_step == 8


def test_a_run_that_stopped_early_is_at_its_end(short_run, tmp_path):
    """A resume trains no further; with more patience it goes on, and counts on."""
    settings = {"max_steps": 50, "learning_rate": 1e-30, "eval_every_steps": 2, "save_every_steps": 50}
    train(short_run(**settings, early_stopping_patience=2))
    weights = (tmp_path / "final" / "model.safetensors").read_bytes()
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-2", "checkpoint-6"]
    again = train(short_run(**settings, early_stopping_patience=2, resume=True))
    assert again.state.global_step == 6
    assert (tmp_path / "final" / "model.safetensors").read_bytes() == weights
    longer = train(short_run(**settings, early_stopping_patience=3, resume=True))
    assert longer.state.global_step == 8


def test_a_resumed_run_goes_by_its_own_cadences_and_patience(short_run, tmp_path):
    train(short_run(max_steps=3, learning_rate=1e-30))
    settings = {"eval_every_steps": 5, "save_every_steps": 4, "save_total_limit": 9, "log_every_steps": 7}
    trainer = train(
        short_run(max_steps=30, learning_rate=1e-30, early_stopping_patience=2, resume=True, **settings)
    )
    assert [entry["step"] for entry in evaluations(trainer)] == [3, 5, 10]
    assert [entry["step"] for entry in trainer.state.log_history if "grad_norm" in entry] == [1, 2, 3, 7]
    assert [path.name for path in checkpoints(tmp_path / "run")] == [
        f"checkpoint-{step}" for step in (2, 3, 4, 8, 10)
    ]


def test_sample_replies_are_in_tensorboard_and_change_nothing(short_run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    silent = train(short_run("silent"))
    talking = train(short_run(tensorboard=True, sample_prompts=["Hi!", "Any pets?"]))
    for a, b in zip(silent.model.parameters(), talking.model.parameters(), strict=True):
        assert torch.equal(a, b)
    [file] = (tmp_path / "run").rglob("events.out.tfevents*")
    events = EventAccumulator(str(file.parent)).Reload()
    samples = events.Tensors("sample replies/text_summary")
    assert [sample.step for sample in samples] == [3, 6]
    assert "**Hi!**" in samples[0].tensor_proto.string_val[0].decode()
    assert [each.step for each in events.Scalars("eval/perplexity")] == [3, 6]


@pytest.fixture
def ruined(short_run, tmp_path):
    """A function that resumes a run which is at its end, and whose best evaluation is an early one."""

    def build(**changes):
        grows = {"learning_rate": 300.0, "lr_scheduler_type": "constant_with_warmup", "warmup_steps": 1000}
        return short_run(max_steps=4, eval_every_steps=1, save_every_steps=1, **grows, **changes)

    train(build())
    shutil.rmtree(tmp_path / "final")
    return lambda **changes: train(build(resume=True, **changes))


def final_weights(folder) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_a_run_that_is_resumed_in_another_place_ends_with_its_best_weights(ruined, tmp_path):
    """Also where the place in which it was has another run's checkpoints by now."""
    shutil.copytree(tmp_path / "run", tmp_path / "moved")
    for path in (tmp_path / "run").glob("checkpoint-?"):
        (path / "model.safetensors").write_bytes(final_weights(tmp_path / "run" / "checkpoint-4"))
    trainer = ruined(output_dir=str(tmp_path / "moved"))
    best = min(evaluations(trainer), key=lambda entry: entry["eval_loss"])["step"]
    assert best < 4
    assert final_weights(tmp_path / "final") == final_weights(tmp_path / "moved" / f"checkpoint-{best}")
    state = json.loads((tmp_path / "final" / "trainer_state.json").read_text())
    assert state["best_model_checkpoint"] == f"checkpoint-{best}"


def test_a_best_checkpoint_that_is_gone_is_told_of_and_named_no_longer(ruined, tmp_path, caplog):
    best = json.loads((tmp_path / "run" / "checkpoint-4" / "trainer_state.json").read_text())
    gone = tmp_path / "run" / f"checkpoint-{best['best_global_step']}"
    shutil.rmtree(gone)
    state = ruined().state
    assert f"--resume: {gone}, the best so far, is not there: the final model will be" in caplog.text
    assert state.best_global_step is state.best_model_checkpoint is state.best_metric is None
    assert final_weights(tmp_path / "final") == final_weights(tmp_path / "run" / "checkpoint-4")


def test_an_evaluation_on_a_sample_takes_the_same_sequences_each_time(short_run):
    def evaluated(limit: int) -> list[list[int]]:
        return build_trainer(short_run(max_eval_sequences=limit)).eval_dataset["input_ids"][:]

    everything = evaluated(0)
    assert evaluated(len(everything) + 1) == everything
    some = evaluated(3)
    assert len(some) == 3 and some == evaluated(3) and all(each in everything for each in some)


@pytest.mark.parametrize("batching", ["random", "grouped", "packed"])
def test_any_batching_learns_the_same_tokens(short_run, tmp_path, prepared, batching):
    epoch = {"max_steps": -1, "num_train_epochs": 1.0, "eval_every_steps": 3, "save_every_steps": 50}
    data = of_rows(prepared, tmp_path / "data", 80)
    trainer = train(short_run(data=data, batching=batching, per_device_train_batch_size=8, **epoch))
    assert trainer.state.epoch == 1.0 and len(evaluations(trainer)) > 1
    assert evaluations(trainer)[-1]["eval_loss"] < evaluations(trainer)[0]["eval_loss"]


@pytest.mark.parametrize("batching", ["random", "grouped", "packed"])
def test_two_processes_learn_the_rows_of_one(short_run, monkeypatch, batching):
    """In the same order; what fills their last batches up has no label."""
    alone = build_trainer(short_run(batching=batching, per_device_train_batch_size=10))
    monkeypatch.setattr(TrainingArguments, "world_size", 2)
    one_of_two = build_trainer(short_run(batching=batching, per_device_train_batch_size=5))
    order, rows = list(one_of_two.sampler), len(alone.train_dataset)
    assert order == list(alone.sampler) + [rows] * (-rows % 10) and len(order) > rows
    batch = one_of_two.data_collator([one_of_two.train_dataset[rows - 1], one_of_two.train_dataset[rows]])
    assert (batch["labels"][0] != IGNORED_LABEL).any() and (batch["labels"][1] == IGNORED_LABEL).all()


def test_a_llama_with_a_chat_template_of_its_own_learns_ours(short_run, tmp_path, base_tokenizer_folder):
    from chat.engine import load_engine
    from chat.template import chat_template
    from data_scripts.arguments import PrepareArguments
    from data_scripts.prepare import prepare
    from tests.conftest import SAMPLE_CORPORA

    tokenizer = AutoTokenizer.from_pretrained(base_tokenizer_folder)
    tokenizer.add_special_tokens({"pad_token": "<own pad>"})
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    base = tmp_path / "llama"
    tokenizer.save_pretrained(base)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(base)
    data = str(tmp_path / "data")
    prepare(PrepareArguments(corpora=SAMPLE_CORPORA, tokenizer=str(base), output=data))
    trainer = train(short_run(base=str(base), data=data, batching="packed", max_steps=4))
    assert len(evaluations(trainer)) == 2
    engine = load_engine(str(tmp_path / "final"))
    assert engine.tokenizer.chat_template == chat_template()
    assert engine.reply([{"role": "user", "content": "Hi!"}])


def test_a_checkpoint_that_cannot_be_written_is_removed_and_another_failure_is_told_as_it_is(
    short_run, tmp_path, monkeypatch
):
    trainer, torn = build_trainer(short_run()), tmp_path / "run" / "checkpoint-0"
    failures = iter([OSError(errno.ENOSPC, "No space left"), KeyError("a bug")])

    def fail(*given):
        torn.mkdir(parents=True, exist_ok=True)
        raise next(failures)

    monkeypatch.setattr(Trainer, "_save_checkpoint", fail)
    with pytest.raises(UserError, match=r"the checkpoint of step 0 cannot be written \(.+No space left"):
        trainer._save_checkpoint(None, None)
    assert not torn.exists()
    with pytest.raises(KeyError, match="a bug"):
        trainer._save_checkpoint(None, None)


def test_a_resumed_run_goes_on_with_the_losses_that_were_not_yet_logged(short_run, tmp_path):
    trainer = build_trainer(short_run())
    trainer._tr_loss = torch.tensor(0.0)
    (tmp_path / "loss_window.json").write_text('{"loss_sum": 3.5, "logged_step": 4}')
    trainer._load_rng_state(str(tmp_path))
    assert trainer._tr_loss == 3.5 and trainer._globalstep_last_logged == 4


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(short_run, tmp_path):
    import dataclasses

    from tests.training.workers import run_worker

    arguments = dataclasses.asdict(short_run(save_every_steps=2, eval_every_steps=50))
    done = run_worker("full disk", step=3, arguments=arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"--output-dir {tmp_path / 'run'}: the checkpoint of step 4 cannot be written" in line
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["checkpoint-2"]
    assert last_whole_checkpoint(tmp_path / "run").name == "checkpoint-2"
    assert train(short_run(resume=True)).state.global_step == 6


def test_resuming_with_another_base_is_refused(short_run, tmp_path):
    train(short_run(max_steps=2))
    wider = tmp_path / "wider.json"
    wider.write_text(json.dumps(TINY | {"n_embd": 64}))
    with pytest.raises(UserError, match="is of another model than --base"):
        train(short_run(resume=True, base=str(wider)))


def test_a_resume_says_what_makes_it_another_run(short_run, tmp_path, caplog):
    train(short_run(max_steps=2))
    trainer = train(short_run(max_steps=4, learning_rate=5e-4, resume=True, save_total_limit=9))
    told = [record.getMessage() for record in caplog.records if "--resume: --" in record.getMessage()]
    assert len(told) == 2
    assert any("--max-steps was 2 and is 4 now" in line for line in told)
    assert any("--learning-rate 0.0005: the checkpoint goes on with 0.001" in line for line in told)
    assert trainer.lr_scheduler.base_lrs[0] == 0.001
    kept = json.loads((tmp_path / "final" / "train_arguments.json").read_text())
    assert kept["learning_rate"] == 0.001


def test_a_run_is_not_resumed_on_other_data(short_run, tmp_path, prepared):
    """Its order, and the statistics of its model, would be of data that it has not seen."""
    train(short_run(max_steps=2))
    with pytest.raises(UserError, match=r"--resume: --data holds other data than .*checkpoint-2 was train"):
        train(short_run(max_steps=4, resume=True, data=of_rows(prepared, tmp_path / "shorter", 90)))
    again = train(short_run(max_steps=4, resume=True, data=of_rows(prepared, tmp_path / "copy")))
    assert again.state.global_step == 4


def test_a_checkpoint_of_an_older_version_tells_nothing_of_its_data_which_is_said(
    short_run, tmp_path, caplog
):
    train(short_run(max_steps=2))
    (tmp_path / "run" / "checkpoint-2" / "data.json").unlink()
    assert train(short_run(max_steps=4, resume=True)).state.global_step == 4
    assert "checkpoint-2 is of an older version, which did not note its data; --data must be" in caplog.text


def test_a_resume_for_fewer_epochs_than_were_trained_says_that_nothing_is_left(
    short_run, tmp_path, prepared, caplog
):
    settings = {"max_steps": -1, "eval_every_steps": 50, "data": of_rows(prepared, tmp_path / "data", 8)}
    train(short_run(num_train_epochs=2, **settings))
    with caplog.at_level("INFO"):
        train(short_run(num_train_epochs=1, resume=True, **settings))
    assert caplog.text.count("this run has ended already, at step 4: nothing is left to do") == 1


def test_rows_too_short_for_the_data_are_refused(short_run):
    with pytest.raises(UserError, match=r"--packed-row-length 32: --data has a sequence of \d+ tokens; give"):
        build_trainer(short_run(batching="packed", packed_row_length=32))


def test_kernels_and_trackers_that_are_not_there_are_named(short_run):
    with pytest.raises(UserError, match="--attn-implementation flash_attention_2: not usable here"):
        build_trainer(short_run(attn_implementation="flash_attention_2"))
    with pytest.raises(UserError, match=r"--trackio: not installed; .*pip install trackio"):
        build_trainer(short_run(trackio=True))


@pytest.mark.slow
def test_a_compiled_model_learns_as_an_eager_one(short_run, tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler on the CPU")
    eager = train(short_run("eager", max_steps=3))
    compiled = train(short_run(max_steps=3, torch_compile=True))
    assert evaluations(compiled)[-1]["eval_loss"] == pytest.approx(
        evaluations(eager)[-1]["eval_loss"], abs=5e-2
    )
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "final")
    for name, weights in compiled.model.named_parameters():
        assert torch.equal(saved.get_parameter(name), weights), name


def test_gradient_checkpointing_changes_nothing_but_memory(short_run):
    plain = train(short_run("plain", max_steps=2))
    saving = train(short_run(max_steps=2, gradient_checkpointing=True))
    for a, b in zip(plain.model.parameters(), saving.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)
