"""The model card of a trained model, rendered from its results: the README.md of its folder.

    python -m eval.card --model final_model --results eval_results --data tokenized_combined_dialog_data
    python -m eval.card --model final_model --results eval_results --push-to-hub USER/MODEL

What others wrote into the card on the Hub, outside our part, stays there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from chat.cli import UserError, parse_arguments, run
from eval.card_rendering import OTHER_LICENSE, OWN_PART, render_card
from eval.model_folder import ModelFolder, evaluated_as, load_statistics, own_statistics, read_model_folder
from eval.publish_card import card_destination, push_card
from eval.report import check_output, write_text
from eval.results_file import load_results, results_path


@dataclass(frozen=True)
class CardArguments:
    model: str = field(metadata={"help": "Folder of the trained model."})
    results: str = field(
        default="eval_results",
        metadata={"help": "Folder that `eval.run` wrote for this model, or its results.json."},
    )
    data: str | None = field(
        default=None,
        metadata={
            "help": "Dataset of `data_scripts.prepare` that it was trained on, for its statistics (default: "
            "the model's own stats.json, if it has one)."
        },
    )
    model_id: str | None = field(
        default=None,
        metadata={"help": "Hub id to call the model by (default: --push-to-hub, else the folder's name)."},
    )
    license: str = field(
        default=OTHER_LICENSE,
        metadata={"help": "The Hub's name of the licence; `other`: the terms of base and corpora."},
    )
    language: str = field(default="en", metadata={"help": "Language of the dialogues, as ISO 639 code."})
    output: str | None = field(
        default=None, metadata={"help": "File for the card (default: README.md in the model's folder)."}
    )
    push_to_hub: str | None = field(
        default=None,
        metadata={"help": "USER/MODEL, this model on the Hub, whose card is brought up to date as well."},
    )

    def __post_init__(self):
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.license):
            raise UserError(f"--license {self.license}: give the Hub's name of one, such as mit, or other")
        if not re.fullmatch(r"[a-z]{2,3}", self.language):
            raise UserError(f"--language {self.language}: give an ISO 639 code, such as en")
        if self.model_id is not None:
            _check_model_id(self.model_id)

    def given_metadata(self) -> list[str]:
        """The metadata fields that flags give; the others stay as a card on the Hub has them."""
        given = [name for name in ("license", "language") if getattr(self, name) != getattr(type(self), name)]
        return [*given, "license_name"] if "license" in given else given


def _check_model_id(model_id: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(model_id)
    except HFValidationError:
        raise UserError(f"--model-id {model_id}: no Hub id; give one such as user/name") from None


def _statistics(data: str | None, model: ModelFolder) -> dict | None:
    """Of the dataset that was given, else those that the model's folder keeps.

    Raises:
        UserError: there are none in the dataset, or it is not the one that the model was trained on.
    """
    own = own_statistics(model, "--model")
    if data is None:
        return own
    given = load_statistics(data, "--data")
    if own and own["corpora"] != given["corpora"]:
        raise UserError(
            f"--data {data}: has other counts than the data that --model {model.path} was trained on, by its "
            "stats.json; leave the flag out, or give that dataset"
        )
    return given


def main() -> None:
    arguments = parse_arguments(CardArguments, description=__doc__)
    model = read_model_folder(arguments.model, "--model")
    path = results_path(arguments.results)
    results = load_results(path, "--results")
    statistics = _statistics(arguments.data, model)
    output = Path(arguments.output) if arguments.output else model.path / "README.md"
    check_output(output, "python -m eval.card", "README.md", lambda text: OWN_PART.begin in text)
    row = evaluated_as(results, path, arguments.model)
    destination = None
    if arguments.push_to_hub:
        destination = card_destination(arguments.push_to_hub, model.path)
    card = render_card(
        results,
        model,
        statistics,
        row=row,
        model_id=arguments.model_id or arguments.push_to_hub or model.path.resolve().name,
        license=arguments.license,
        language=arguments.language,
    )
    write_text(output, str(card), "--output")
    print(f"saved to {output}")
    if destination:
        push_card(destination, card, arguments.given_metadata())
        print(f"published to {destination.url}")


if __name__ == "__main__":
    run(main)
