"""Recipes and their checks."""

import math

import pytest

from chat.cli import parse_arguments
from tests.conftest import ROOT, refused
from training.arguments import TrainArguments
from training.prefer_arguments import PreferArguments
from training.preferences import read_marks

FOLDER = ROOT / "training" / "configs"
PREFERRED = FOLDER / "pocket-preferred.yaml"
CONFIGS = sorted(set(FOLDER.glob("*.yaml")) - {PREFERRED})


def test_the_recipe_of_preference_tuning_goes_on_where_fine_tuning_ended():
    tuned = parse_arguments(TrainArguments, ["--config", str(FOLDER / "pocket.yaml")])
    preferred = parse_arguments(PreferArguments, ["--config", str(PREFERRED)])
    assert (preferred.base, preferred.data) == (tuned.final_model_dir, tuned.data)
    assert preferred.final_model_dir == "models/pocket"
    assert len(read_marks(ROOT / preferred.marks)) > 1000


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_recipe_loads(path):
    arguments = parse_arguments(TrainArguments, ["--config", str(path)])
    assert arguments.to_training_arguments().output_dir == arguments.output_dir
    assert not arguments.base.endswith(".json") or (ROOT / arguments.base).is_file()


def test_the_reference_recipe():
    """The figures that the project was given; `max_length` is the dataset's default."""
    from data_scripts.arguments import PrepareArguments

    recipe = parse_arguments(TrainArguments, ["--config", str(ROOT / "training/configs/gpt2.yaml")])
    assert recipe.base == "openai-community/gpt2" == PrepareArguments().tokenizer
    assert (recipe.num_train_epochs, recipe.per_device_train_batch_size) == (3, 8)
    assert (recipe.learning_rate, recipe.mixed_precision) == (5e-5, "fp16")
    assert (recipe.eval_every_steps, recipe.save_every_steps) == (5000, 10000)
    assert recipe.tensorboard and recipe.final_model_dir == "final_model"
    assert PrepareArguments().max_length == 256 and PrepareArguments().output == recipe.data


def test_what_a_cpu_lacks_is_said_not_tried(caplog, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    for arguments in (
        TrainArguments(mixed_precision="fp16").to_training_arguments(),
        PreferArguments("marks.jsonl", mixed_precision="fp16").to_training_arguments(with_evaluation=False),
    ):
        assert arguments.use_cpu and not arguments.fp16 and not arguments.bf16
    assert caplog.text.count("--mixed-precision fp16: needs a GPU") == 2


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"per_device_train_batch_size": 0}, "--per-device-train-batch-size 0: give at least 1"),
        ({"save_every_steps": -5}, "--save-every-steps -5: give at least 1"),
        ({"learning_rate": 0.0}, "--learning-rate 0.0: give a number above 0"),
        ({"num_train_epochs": -1.0}, "--num-train-epochs -1.0"),
        ({"learning_rate": math.nan}, "--learning-rate nan: give a number above 0"),
        ({"num_train_epochs": math.inf}, "--num-train-epochs inf: give a number above 0"),
        ({"weight_decay": -1.0}, "--weight-decay -1.0: give 0 or more"),
        ({"max_grad_norm": math.nan}, "--max-grad-norm nan: give 0 or more"),
        ({"seed": -1}, "--seed -1: give 0 to 4294967295"),
        ({"seed": 2**32}, "--seed 4294967296: give 0 to 4294967295"),
        (
            {"batching": "packed", "attn_implementation": "flash_attention_2"},
            "keeps packed dialogues apart in batches of one row only",
        ),
        ({"max_steps": 0}, "--max-steps 0"),
        ({"temperature": 2.0}, "--temperature 2.0: give 0.1 to 1.5"),
        ({"top_p": 0.0}, "--top-p 0.0: give 0.05 to 1.0"),
        ({"best_of": 0}, "--best-of 0: give 1 to 16"),
    ],
)
def test_values_out_of_range_are_named(wrong, problem):
    with refused(problem):
        TrainArguments(**wrong)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"beta": math.nan}, "--beta nan: give a number above 0"),
        ({"data_loss_weight": -1.0}, "--data-loss-weight -1.0: give 0 or more"),
        ({"final_model_shard_mb": 0}, "--final-model-shard-mb 0: give at least 1"),
        ({"seed": -1}, "--seed -1: give 0 to 4294967295"),
    ],
)
def test_values_out_of_range_of_preference_tuning_are_named(wrong, problem):
    with refused(problem):
        PreferArguments("marks.jsonl", **wrong)


def test_replicas_of_a_run_tell_of_errors_alone(tmp_path):
    """The libraries' warnings, of weights that are missing since they are tied, would come from each."""
    output_dir = str(tmp_path)
    training = TrainArguments(output_dir=output_dir).to_training_arguments()
    tuning = PreferArguments("marks.jsonl", output_dir=output_dir).to_training_arguments(False)
    assert training.log_level_replica == tuning.log_level_replica == "error"


def test_flash_attention_takes_packed_rows_one_at_a_time():
    given = {
        "batching": "packed",
        "attn_implementation": "flash_attention_2",
        "per_device_train_batch_size": 1,
    }
    assert TrainArguments(**given).batching == "packed"


def test_a_loss_that_is_no_number_is_logged_as_that():
    """The Trainer's default shows the best of all losses, 0."""
    training = TrainArguments().to_training_arguments()
    tuning = PreferArguments("marks.jsonl").to_training_arguments(with_evaluation=False)
    assert not training.logging_nan_inf_filter and not tuning.logging_nan_inf_filter
