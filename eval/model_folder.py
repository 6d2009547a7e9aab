"""What the folder of a trained model tells about it: architecture, arguments and log of its training."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

from chat.cli import UserError
from chat.dialogue import SPLITS
from chat.model_files import (
    FREE_TO_CHANGE,
    PREFER_ARGUMENTS_FILE,
    PREFER_STATE_FILE,
    STATISTICS_FILE,
    TRAIN_ARGUMENTS_FILE,
    TRAINER_STATE_FILE,
)

WEIGHTS = "*.safetensors"
COUNTED = ("dialogues", "replies", "tokens", "reply_tokens")
CHAT_TEMPLATE = "chat_template.jinja"
SIZES = {
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "attention heads": "num_attention_heads",
    "vocabulary": "vocab_size",
}
# Of the arguments that make a run what it is, the card tells the base elsewhere, and logging made no weights.
TOLD_ELSEWHERE = {"base", "log_every_steps"}


@dataclass(frozen=True)
class ModelFolder:
    """A folder that training wrote.

    Attributes:
        positions: the longest context in tokens, if the architecture has a limit.
        sizes: of the architecture, by name.
        train_arguments: empty where the folder has none.
        trainer_state: of the Trainer; empty where the folder has none.
        prefer_arguments, prefer_state: the same of the preference tuning that came after it, if one did.
    """

    path: Path
    architecture: str
    positions: int | None
    sizes: dict[str, int]
    train_arguments: dict
    trainer_state: dict
    prefer_arguments: dict
    prefer_state: dict

    def is_base(self, statistics: dict | None, row: str) -> bool:
        """Whether it is a base for plain text, which does not chat.

        Args:
            statistics: of its training data; without them the chat template tells.
            row: of the results, its own.
        """
        if statistics:
            return bool(statistics["options"].get("plain_text"))
        return row == "base" and not (self.path / CHAT_TEMPLATE).is_file()

    @property
    def base(self) -> str | None:
        """The model it started from, or the configuration of its random weights; None where nobody knows."""
        return self.train_arguments.get("base")

    @property
    def settings(self) -> dict:
        """The arguments that made the run what it is."""
        hidden = FREE_TO_CHANGE | TOLD_ELSEWHERE
        hidden |= {"num_train_epochs" if self.train_arguments.get("max_steps", -1) > 0 else "max_steps"}
        return {name: value for name, value in self.train_arguments.items() if name not in hidden}

    @property
    def prefer_settings(self) -> dict:
        """The arguments that made the preference tuning what it is."""
        hidden = FREE_TO_CHANGE | TOLD_ELSEWHERE | {"marks"}
        return {name: value for name, value in self.prefer_arguments.items() if name not in hidden}

    def parameters(self) -> int:
        """The number of parameters in the weight files."""
        from huggingface_hub import get_local_safetensors_metadata

        return sum(get_local_safetensors_metadata(self.path).parameter_count.values())

    def lowest_validation_loss(self) -> dict | None:
        """The log's entry of the best evaluation."""
        entries = [entry for entry in self.trainer_state.get("log_history", []) if "eval_loss" in entry]
        finite = [entry for entry in entries if math.isfinite(entry["eval_loss"])]
        return min(finite, key=lambda entry: entry["eval_loss"], default=None)


def read_model_folder(path: str, flag: str) -> ModelFolder:
    """Reads all but the weights.

    Raises:
        UserError: no folder, no model in it, or a file that cannot be read.
    """
    from chat.hub.loading import load_config

    folder = Path(os.path.expanduser(path))
    if not folder.is_dir():
        raise UserError(f"{flag} {path}: no such folder; give the folder of a trained model")
    if not (folder / "config.json").is_file() or not any(folder.glob(WEIGHTS)):
        raise UserError(
            f"{flag} {path}: holds no model (config.json and {WEIGHTS}); give the folder that training wrote"
        )
    config = load_config(str(folder), flag)
    sizes = {label: getattr(config, name, None) for label, name in SIZES.items()}
    found = ModelFolder(
        path=folder,
        architecture=config.model_type,
        positions=getattr(config, "max_position_embeddings", None),
        sizes={label: size for label, size in sizes.items() if size is not None},
        train_arguments=read_json(folder / TRAIN_ARGUMENTS_FILE, flag, missing={}),
        trainer_state=read_json(folder / TRAINER_STATE_FILE, flag, missing={}),
        prefer_arguments=read_json(folder / PREFER_ARGUMENTS_FILE, flag, missing={}),
        prefer_state=read_json(folder / PREFER_STATE_FILE, flag, missing={}),
    )
    _check_shape(found, flag)
    return found


def _check_shape(model: ModelFolder, flag: str) -> None:
    """Raises UserError where a first use of arguments or state would fail."""
    for file, used in (
        (TRAIN_ARGUMENTS_FILE, _use_arguments),
        (TRAINER_STATE_FILE, _use_state),
        (PREFER_STATE_FILE, lambda model: int(model.prefer_state.get("global_step", 0))),
    ):
        try:
            used(model)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{flag} {model.path / file}: not as training wrote it ({error!r}); mend or remove the file"
            ) from None


def _use_arguments(model: ModelFolder) -> None:
    (model.base or "").endswith(".json")
    len(model.settings)


def _use_state(model: ModelFolder) -> None:
    int(model.trainer_state.get("global_step", 0))
    best = model.lowest_validation_loss() or {"step": 0}
    int(best["step"])


def load_statistics(data: str, flag: str) -> dict:
    """The statistics of a dataset that `data_scripts.prepare` wrote.

    Raises:
        UserError: there are none, or they lack what the card tells.
    """
    path = Path(data) / STATISTICS_FILE
    statistics = read_json(path, flag)
    try:
        statistics["options"]["corpora"][:0]
        for counts in statistics["corpora"].values():
            [int(counts[split][unit]) for split in SPLITS for unit in COUNTED]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{flag} {path}: no statistics of `python -m data_scripts.prepare` ({error!r}); prepare anew"
        ) from None
    return statistics


def own_statistics(model: ModelFolder, flag: str) -> dict | None:
    """What the model's folder keeps of the dataset that it was trained on, if it keeps it."""
    has_own = (model.path / STATISTICS_FILE).is_file()
    return load_statistics(str(model.path), flag) if has_own else None


def read_json(path: Path, flag: str, missing: dict | None = None) -> dict:
    """The object in a JSON file; `missing`, where that is given, for a file that is not there."""
    if missing is not None and not path.exists():
        return missing
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{flag} {path}: {error.strerror}; give one that can be read") from None
    except ValueError as error:
        raise UserError(f"{flag} {path}: not valid JSON ({error}); mend or remove the file") from None
    if not isinstance(found, dict):
        raise UserError(f"{flag} {path}: not an object of names and values; mend or remove the file")
    return found


def evaluated_as(results: dict, path: Path, model: str) -> str:
    """Which row of the results is this model's, by the checksum of its weights: `model` or `base`.

    Results that tell no checksum are taken for those of their `model`.

    Args:
        path: of the results, given by --results.
        model: given by --model.

    Raises:
        UserError: they are of other weights.
    """
    from chat.hub.loading import load_causal_lm
    from eval.contenders import weights_sha256

    evaluated = results["models"]
    if "weights_sha256" not in evaluated["model"]:
        return "model"
    checksum = weights_sha256(load_causal_lm(model, "--model"))
    for row in ("model", "base"):
        if evaluated[row].get("weights_sha256") == checksum:
            return row
    raise UserError(
        f"--results {path}: of another model (`{evaluated['model']['name']}`, other weights) than --model "
        f"{model}; evaluate this one with `python -m eval.run --model {model}`, or give its own results"
    )
