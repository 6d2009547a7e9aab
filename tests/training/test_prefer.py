"""Preference tuning of a tiny model, whole, on the CPU."""

import json
import math
import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from transformers import TrainerCallback

from chat.best_of import reply_log_probs
from chat.cli import UserError
from chat.hub.data import load_tokenized
from chat.hub.loading import load_causal_lm, load_generation_config, load_tokenizer
from chat.template import add_chat_format, encode_prompt, encode_texts
from data_scripts.train_tokenizer import train_tokenizer
from tests.processes import contents, launched, python
from tests.tiny_models import saved, tiny_model
from tests.training.workers import LAUNCHERS, stopped_by_sigterm
from training.calibration import divide_logits
from training.checkpoints import checkpoints, last_whole_checkpoint
from training.collator import PaddedCollator
from training.prefer import build_trainer, calibrate, prefer
from training.prefer_arguments import PreferArguments
from training.preference_trainer import blank_place
from training.resuming import alone, as_resumed, save
from training.trainer import row_losses

QUESTIONS = [
    f"Do you have {number} {pet}?" for number in ("any", "two", "six") for pet in ("cats", "dogs", "fish")
]
GOOD, BAD = "Yes, I do.", "It is green."


@pytest.fixture
def marks(tmp_path):
    path = tmp_path / "marks.jsonl"
    lines = [
        {
            "persona": ["I like pets."],
            "turns": [{"role": "user", "text": question}],
            "good": [GOOD],
            "bad": [BAD],
        }
        for question in QUESTIONS
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.fixture
def short_tuning(tmp_path, marks, model_folder):
    """A function: the arguments of nine steps of tuning, in this test's own folders; of several, by name."""

    def build(name: str = "", **changes) -> PreferArguments:
        settings = {
            "marks": str(marks),
            "base": str(model_folder),
            "output_dir": str(tmp_path / name / "run"),
            "final_model_dir": str(tmp_path / name / "tuned"),
            "learning_rate": 1e-3,
            "num_train_epochs": 3,
            "per_device_train_batch_size": 3,
            "warmup_steps": 0,
            "eval_every_steps": 3,
        }
        return PreferArguments(**settings | changes)

    return build


def preference(folder, question):
    """log P(good reply) - log P(bad reply), in nats."""
    tokenizer = load_tokenizer(str(folder))
    prompt = encode_prompt(
        tokenizer, [{"role": "system", "content": "I like pets."}, {"role": "user", "content": question}]
    )
    replies = [[*ids, tokenizer.eos_token_id] for ids in encode_texts(tokenizer, [GOOD, BAD])]
    model = load_causal_lm(str(folder))
    good, bad = reply_log_probs(model, [prompt, prompt], replies, tokenizer.pad_token_id)
    return good - bad


def test_a_tuned_model_prefers_good_replies_also_where_it_learnt_nothing(
    short_tuning, tmp_path, model_folder
):
    base = tmp_path / "base"
    shutil.copytree(model_folder, base)
    of_the_base = {"stats.json", "trainer_state.json", "train_arguments.json"}
    for name in of_the_base:
        (base / name).write_text(f'{{"of": "{name}"}}')

    changes = {"temperature": 1.3, "top_p": 0.8, "final_model_dtype": "float16", "held_out_share": 0.2}
    alone = {"length_weight": 0.0, "reply_loss_weight": 0.0}
    trainer = prefer(short_tuning(base=str(base), **changes, **alone))

    tuned = tmp_path / "tuned"
    unseen = "Do you have a horse?"
    assert preference(tuned, unseen) > preference(base, unseen) + 1
    log = json.loads((tuned / "prefer_state.json").read_text())["log_history"]
    evaluations = [entry for entry in log if "eval_loss" in entry]
    assert len(evaluations) == 3 and evaluations[-1]["eval_accuracy"] == 1
    assert evaluations[-1]["eval_loss"] < evaluations[0]["eval_loss"] < math.log(2)
    assert trainer.state.global_step == 9
    kept = json.loads((tuned / "prefer_arguments.json").read_text())
    assert (kept["beta"], kept["marks"], kept["base"]) == (0.2, "./marks.jsonl", "./base")
    for name in of_the_base:
        assert (tuned / name).read_text() == f'{{"of": "{name}"}}'
    assert json.loads((tuned / "config.json").read_text())["dtype"] == "float16"
    assert len({path.stat().st_mode for path in tuned.iterdir()}) == 1
    decoding = load_generation_config(str(tuned)).to_dict()
    assert decoding == load_generation_config(str(base)).to_dict() | {"temperature": 1.3, "top_p": 0.8}


def test_before_the_first_step_no_reply_has_gained_in_any_precision(short_tuning, tmp_path, monkeypatch):
    monkeypatch.setattr("training.trainer_arguments.computes_in_bfloat16", lambda _: True)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path))
    given = short_tuning(mixed_precision="bf16", held_out_share=0.5)
    trainer = build_trainer(given)
    assert trainer.args.bf16
    found = trainer.evaluate()
    assert found["eval_accuracy"] == 0 and found["eval_pairs"] > 0


def test_nor_does_dropout_make_a_reply_gain_while_it_learns(short_tuning):
    alone = {"length_weight": 0.0, "reply_loss_weight": 0.0, "held_out_share": 0.0}
    trainer = build_trainer(short_tuning(**alone))
    batch = next(iter(trainer.get_train_dataloader()))
    loss = trainer.compute_loss(trainer.model.train(), batch)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)


def logged(folder) -> list[dict]:
    """What a run logged that must not depend on its interruptions."""
    figures = ("step", "loss", "grad_norm", "learning_rate", "eval_loss", "eval_accuracy", "eval_pairs")
    log = json.loads((folder / "prefer_state.json").read_text())["log_history"]
    return [{name: entry[name] for name in figures if name in entry} for entry in log]


@pytest.mark.usefixtures("sigterm")
def test_a_run_that_breaks_off_goes_on_and_ends_like_one_that_never_did(short_tuning, tmp_path, prepared):
    """To the bit: weights and logged figures. It breaks off after the first step of the second epoch."""

    def run(name, **changes):
        cadences = {"save_every_steps": 2, "save_total_limit": 1, "log_every_steps": 4, "eval_every_steps": 5}
        given = {**cadences, "held_out_share": 0.2, "data": str(prepared), **changes}
        return short_tuning(name, **given)

    class BreaksOff(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 5:
                raise KeyboardInterrupt

    prefer(run("unbroken"))
    trainer = build_trainer(run("broken"))
    trainer.add_callback(BreaksOff())
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    with pytest.raises(UserError, match=r"--output-dir .*holds checkpoints of an earlier run"):
        prefer(run("broken"))
    assert [path.name for path in checkpoints(tmp_path / "broken" / "run")] == ["checkpoint-4"]
    prefer(run("broken", resume=True))

    weights = [(tmp_path / name / "tuned" / "model.safetensors") for name in ("unbroken", "broken")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert logged(tmp_path / "broken" / "tuned") == logged(tmp_path / "unbroken" / "tuned")
    assert [path.name for path in checkpoints(tmp_path / "broken" / "run")] == ["checkpoint-9"]


def test_a_run_that_is_resumed_at_its_end_saves_the_same_bytes(short_tuning, tmp_path, prepared, monkeypatch):
    monkeypatch.setattr("training.prefer.CALIBRATION_SEQUENCES", 4)
    shortest = {"num_train_epochs": 1, "data": str(prepared), "calibrate": True}
    prefer(short_tuning(**shortest))
    saved = contents(tmp_path / "tuned")
    prefer(short_tuning(**shortest, resume=True))
    assert contents(tmp_path / "tuned") == saved


def flags(tmp_path, marks, base, *further) -> list[str]:
    """Of the command, with folders of this test's own."""
    folders = ("--output-dir", tmp_path / "run", "--final-model-dir", tmp_path / "tuned")
    return [*map(str, ("--marks", marks, "--base", base, *folders, *further))]


@pytest.mark.slow
def test_sigterm_saves_and_exits_as_it_would(tmp_path, marks, model_folder):
    given = flags(tmp_path, marks, model_folder, "--num-train-epochs", 1000, "--log-every-steps", 1)
    stopped_by_sigterm("training.prefer", *given)

    assert last_whole_checkpoint(tmp_path / "run") is not None
    assert not (tmp_path / "tuned").exists()


@pytest.mark.slow
def test_two_processes_count_every_held_out_pair_once(tmp_path, marks, model_folder):
    cut = ("--held-out-share", 0.33, "--per-device-train-batch-size", 1)
    given = flags(tmp_path, marks, model_folder, *cut)
    done = python(*LAUNCHERS[2], "training.prefer", *given, timeout=240)

    assert done.returncode == 0, done.stderr
    log = json.loads((tmp_path / "tuned" / "prefer_state.json").read_text())["log_history"]
    assert [entry["eval_pairs"] for entry in log if "eval_pairs" in entry] == [3]


@pytest.mark.slow
def test_two_processes_learn_dialogues_beside_of_which_one_gets_none(tmp_path, marks, prepared, tokenizer):
    """A Llama, as DDP's processes exchange its buffers at each forward: one forward less would never end."""
    base = saved(tiny_model("llama", len(tokenizer)), tokenizer, tmp_path / "llama")
    beside = ("--data", prepared, "--per-device-train-batch-size", 2, "--places-per-dialogue", 4)
    given = flags(tmp_path, marks, base, *beside, "--held-out-share", 0, "--log-every-steps", 1)
    done = launched(*LAUNCHERS[2], "training.prefer", *given, timeout=120)

    assert done.returncode == 0, done.stderr
    state = json.loads((tmp_path / "tuned" / "prefer_state.json").read_text())
    assert state["global_step"] == 3 == len([entry for entry in state["log_history"] if "loss" in entry])


def loss_of_dialogues(folder, prepared, split):
    dataset, tokenizer = load_tokenized(str(prepared))
    batch = PaddedCollator(tokenizer.pad_token_id)([dataset[split][index] for index in range(20)])
    nats, tokens = row_losses(load_causal_lm(str(folder)), batch)
    return (nats.sum() / tokens.sum()).item()


def test_dialogues_that_are_learnt_beside_stay_likely(short_tuning, tmp_path, prepared):
    def loss(name, **changes):
        prefer(short_tuning(name, reply_loss_weight=0.0, **changes))
        return loss_of_dialogues(tmp_path / name / "tuned", prepared, "train")

    assert loss("beside", data=str(prepared), places_per_dialogue=1) < loss("alone") - 0.05


def test_processes_learn_together_what_one_learns(short_tuning, prepared, monkeypatch):
    """Though one of them has a dialogue and two places, and the other a place with a longer good reply, and
    none: the mean of their losses is that of one process.
    """
    trainer = build_trainer(short_tuning(data=str(prepared)))
    trainer.model.eval()
    first, second, third = trainer.train_dataset[:3]
    assert ["sequence" in place for place in (first, second, third)] == [True, False, False]
    third = {**third, "replies": [third["replies"][0] * 3, third["replies"][1]]}
    of_processes = [[first, second], [third, blank_place(trainer.processing_class.pad_token_id)]]

    def loss_of(places, processes, reduce):
        shared = SimpleNamespace(num_processes=processes, reduce=reduce, autocast=nullcontext)
        monkeypatch.setattr(trainer, "accelerator", shared)
        return trainer.compute_loss(trainer.model, trainer.data_collator(places)).item()

    expected = loss_of([first, second, third], 1, lambda count, _: count)
    counts = [[], []]
    for places, counted in zip(of_processes, counts, strict=True):
        loss_of(places, 2, lambda count, _, counted=counted: counted.append(count) or count)
    losses = []
    for places in of_processes:
        sums = map(sum, zip(*counts, strict=True))
        losses.append(loss_of(places, 2, lambda *_, sums=sums: next(sums)))
    assert sum(losses) / 2 == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_two_processes_learn_five_places_once_each(tmp_path, marks, model_folder, prepared):
    """Which is a step of either: there are three and two, and one that nothing is learnt from."""
    five = tmp_path / "five.jsonl"
    lines = list(map(json.loads, marks.read_text().splitlines()[:5]))
    lines[0]["good"] = [f"{GOOD} I have more of them than I can tell of."]
    five.write_text("\n".join(map(json.dumps, lines)))
    learnt = []
    for processes, size in ((1, 5), (2, 3)):
        folder = tmp_path / str(processes)
        cut = ("--data", prepared, "--held-out-share", 0, "--per-device-train-batch-size", size)
        given = flags(folder, five, model_folder, *cut, "--log-every-steps", 1)
        done = python(*LAUNCHERS[processes], "training.prefer", *given, timeout=240)
        assert done.returncode == 0, done.stderr
        log = json.loads((folder / "tuned" / "prefer_state.json").read_text())["log_history"]
        [step] = [entry for entry in log if "loss" in entry]
        learnt.append((step["loss"], step["grad_norm"]))
    assert learnt[1] == pytest.approx(learnt[0], rel=1e-5)


@pytest.mark.slow
def test_a_calibrated_model_is_less_sure_of_what_it_learnt(short_tuning, tmp_path, prepared, monkeypatch):
    sure, calibrated = tmp_path / "sure", tmp_path / "tuned"

    def divide(model, temperature):
        model.save_pretrained(sure)
        divide_logits(model, temperature)

    monkeypatch.setattr("training.calibration.divide_logits", divide)
    changes = {"data": str(prepared), "data_loss_weight": 0.0, "num_train_epochs": 20, "calibrate": True}
    prefer(short_tuning(**changes))
    assert loss_of_dialogues(calibrated, prepared, "val") < loss_of_dialogues(sure, prepared, "val") - 0.01
    log = json.loads((calibrated / "prefer_state.json").read_text())["log_history"]
    assert [entry for entry in log if entry.get("calibration_temperature", 0) > 1]
    with pytest.raises(UserError, match="--calibrate true: needs dialogues; give --data"):
        short_tuning(calibrate=True)


def test_a_model_is_calibrated_by_dialogues_that_it_has_not_learnt_each_once(
    short_tuning, tmp_path, prepared, monkeypatch
):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path))
    given = short_tuning(data=str(prepared), calibrate=True)
    trainer, seen = build_trainer(given), []
    monkeypatch.setattr(
        "training.calibration.best_temperature", lambda _, batches: seen.extend(batches) or 1.0
    )
    calibrate(trainer, given)
    found = [
        ids[mask.bool()].tolist()
        for batch in seen
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]
    assert sorted(found) == sorted(load_tokenized(str(prepared))[0]["val"]["input_ids"])


def test_weights_that_zero3_divides_are_not_calibrated(short_tuning, prepared, monkeypatch):
    monkeypatch.setattr("transformers.integrations.is_deepspeed_zero3_enabled", lambda: True)
    monkeypatch.setattr("chat.layouts._whole_weights", lambda _: nullcontext())
    with pytest.raises(UserError, match=r"^--calibrate true: ZeRO-3 divides the weights"):
        prefer(short_tuning(data=str(prepared), calibrate=True))


def test_a_model_without_a_number_of_positions_is_refused(short_tuning, tmp_path, tokenizer):
    bloom = tiny_model("bloom", len(tokenizer), max_position_embeddings=None)
    base = saved(bloom, tokenizer, tmp_path / "bloom")
    with pytest.raises(UserError, match=r"^--base .*: a bloom without a number of positions"):
        prefer(short_tuning(base=str(base)))


def test_what_cannot_be_learnt_from_is_counted(short_tuning, marks, caplog):
    caplog.set_level("INFO")
    turns = [{"role": "user", "text": "Any?"}]
    with marks.open("a") as file:
        for bad in ([], ["no " * 300]):
            file.write("\n" + json.dumps({"turns": turns, "good": [GOOD], "bad": bad}))

    prefer(short_tuning(num_train_epochs=1, held_out_share=0.2))

    [told] = [message for message in caplog.messages if message.startswith("--marks")]
    assert "7 conversations to learn from, 2 to check with; 2 left out" in told


def test_a_resume_without_the_dialogues_is_another_run(short_tuning, prepared, caplog):
    prefer(short_tuning(data=str(prepared)))
    prefer(short_tuning(resume=True))
    told = [record.getMessage() for record in caplog.records if "--resume: --" in record.getMessage()]
    assert len(told) == 1 and f"--data was {prepared} and is None now" in told[0]


def test_a_resume_with_dialogues_that_were_not_there_is_another_run(short_tuning, tmp_path, caplog):
    save(short_tuning(), tmp_path / "run")
    as_resumed(short_tuning(data="talk"))
    [told] = caplog.messages
    assert told.startswith("--resume: --data was None and is talk now")


def test_a_run_is_not_resumed_on_other_marks(short_tuning, marks):
    prefer(short_tuning())
    marks.write_text("\n".join(marks.read_text().splitlines()[:-1]))
    with pytest.raises(UserError, match=r"--resume: --marks holds other data than .*checkpoint-9 was train"):
        prefer(short_tuning(resume=True))


def test_two_runs_do_not_share_a_folder(short_tuning, tmp_path):
    with (
        alone(str(tmp_path / "run")),
        pytest.raises(UserError, match=r"--output-dir .*run: another process trains there"),
    ):
        prefer(short_tuning(resume=True))


def test_a_model_that_cannot_compare_replies_is_refused(short_tuning, tmp_path, tokenizer):
    for kind, changes in (("gpt_neo", {"window_size": 8}), ("openai-gpt", {})):
        base = saved(tiny_model(kind, len(tokenizer), **changes), tokenizer, tmp_path / kind)
        with pytest.raises(UserError, match=r"--base .*: a .* does not read replies that share a conversat"):
            prefer(short_tuning(base=str(base)))
    assert not (tmp_path / "run").exists()


def test_errors_name_the_flag(short_tuning, tmp_path, marks, model_folder, base_tokenizer_folder, prepared):
    with pytest.raises(UserError, match="--beta 0"):
        PreferArguments(marks=str(marks), beta=0)
    with pytest.raises(UserError, match=r"--temperature 3: give 0\.1 to 1\.5"):
        PreferArguments(marks=str(marks), temperature=3)
    with pytest.raises(UserError, match="--warmup-steps -5: give 0 or more"):
        PreferArguments(marks=str(marks), warmup_steps=-5)
    with pytest.raises(UserError, match="--held-out-share 1"):
        PreferArguments(marks=str(marks), held_out_share=1)
    with pytest.raises(UserError, match=r"--base .*no role tokens"):
        prefer(short_tuning(base=str(base_tokenizer_folder)))
    mixed = shutil.copytree(model_folder, tmp_path / "mixed")
    larger = load_tokenizer(str(model_folder))
    larger.add_tokens(["forty-two"])
    larger.save_pretrained(mixed)
    with pytest.raises(
        UserError, match=r"--base .*mixed: its tokenizer has ids up to .*; give a model beside"
    ):
        prefer(short_tuning(base=str(mixed)))
    other = train_tokenizer([GOOD, BAD] * 50, vocab_size=300)
    shutil.copytree(prepared, tmp_path / "data")
    add_chat_format(other).save_pretrained(tmp_path / "data" / "tokenizer")
    with pytest.raises(UserError, match=r"--data .*: tokenised with another tokenizer"):
        prefer(short_tuning(data=str(tmp_path / "data")))
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"--final-model-dir .*already holds something else"):
        prefer(short_tuning())
    assert (tmp_path / "tuned" / "notes.txt").read_text() == "mine"
