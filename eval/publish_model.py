"""Publishes a model's folder, weights, tokenizer, settings and card, as one commit; a release gets a tag.

    python -m eval.publish_model --model models/pocket --push-to-hub USER/MODEL
    python -m eval.publish_model --model final_model --results eval_results --push-to-hub USER/MODEL

What others wrote into the card on the Hub stays there, and so do the figures of an evaluation of the same
weights. The folder itself is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from chat.cli import UserError, parse_arguments, run
from chat.hub.cards import CARD_FILE, refuse_anothers
from chat.hub.loading import load_causal_lm, load_tokenizer
from chat.hub.publishing import MODEL_TEXTS, persistently, publish_model
from chat.hub.repositories import Destination, check_tag_is_free, check_tag_name, make_ready
from chat.hub.secrets import refuse_tokens
from chat.model_files import MODEL_FILES
from chat.published_paths import files_to_publish
from eval.card_rendering import OWN_PART, render_card, write_card_without_results
from eval.model_folder import ModelFolder, evaluated_as, own_statistics, read_model_folder
from eval.publish_card import merge_with_model
from eval.results_file import RESULTS_FILE, load_results, results_path


@dataclass(frozen=True)
class PublishModelArguments:
    model: str = field(metadata={"help": "Folder of the trained model."})
    push_to_hub: str = field(
        metadata={"help": "USER/MODEL, which is created if it is not there, and updated if it is."}
    )
    results: str | None = field(
        default=None,
        metadata={
            "help": "Folder that `eval.run` wrote for this model, for its card (default: the results.json in "
            "the model's folder, else its README.md, else a card without figures)."
        },
    )
    hub_tag: str | None = field(
        default=None, metadata={"help": "Tag by which this release can be loaded later, such as v1.0."}
    )
    hub_public: bool = field(
        default=False,
        metadata={"help": "Whether all may see the model; else the repository must be private."},
    )

    def __post_init__(self):
        if self.hub_tag is not None:
            check_tag_name(self.hub_tag)


def publish(arguments: PublishModelArguments) -> Destination:
    """Publishes the model as the flags say; where.

    Raises:
        UserError: the folder or the results cannot be used, weights are not whole, a link leads out of the
            folder, a file holds a token, the repository holds another's model, or the Hub refuses.
    """
    destination = Destination(arguments.push_to_hub, public=arguments.hub_public)
    model = read_model_folder(arguments.model, "--model")
    files = files_to_publish(model.path, (*MODEL_FILES, *MODEL_TEXTS), "--model")
    # The Hub takes weights of which a part is missing, or that git left as a pointer to LFS.
    load_tokenizer(str(model.path), "--model")
    load_causal_lm(str(model.path), "--model")
    # A card that lies in the folder calls the model by another name.
    own_results = model.path / RESULTS_FILE
    results = arguments.results or (str(own_results) if own_results.is_file() else None)
    card = _card_with_results(arguments, model, results) if results else None
    if failure := make_ready(destination):
        raise UserError(f"{destination}: {failure}")

    def refuse() -> None:
        refuse_anothers(destination, OWN_PART.begin)
        if arguments.hub_tag:
            check_tag_is_free(destination, arguments.hub_tag)

    persistently(refuse, destination, undone="nothing was published")
    with _staged(files, model.path) as folder:
        if card:
            (folder / CARD_FILE).unlink(missing_ok=True)
            (folder / CARD_FILE).write_text(card, encoding="utf-8")
        write_card_without_results(str(folder), destination.repo_id)
        refuse_tokens(folder)
        publish_model(
            folder,
            destination,
            message="Publish the model",
            tag=arguments.hub_tag,
            what=arguments.model,
            merge_card=partial(merge_with_model, model.path, destination),
        )
    return destination


def _card_with_results(arguments: PublishModelArguments, model: ModelFolder, results: str) -> str:
    path = results_path(results)
    found = load_results(path, "--results")
    row = evaluated_as(found, path, arguments.model)
    statistics = own_statistics(model, "--model")
    return str(render_card(found, model, statistics, model_id=arguments.push_to_hub, row=row))


@contextmanager
def _staged(files: list[Path], source: Path) -> Iterator[Path]:
    """A folder of links to the model's files, to which a card can be added."""
    with TemporaryDirectory() as scratch:
        for path in files:
            link = Path(scratch) / path.relative_to(source)
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(path.resolve())
        yield Path(scratch)


def main() -> None:
    destination = publish(parse_arguments(PublishModelArguments, description=__doc__))
    print(f"published to {destination.url}")


if __name__ == "__main__":
    run(main)
