"""The metadata of a model card: what the Hub searches and shows, with the main figures as `model-index`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from chat.dialogue import SPLITS
from chat.hub.path_or_id import is_local, looks_like_path
from data_scripts import personachat
from eval.model_folder import ModelFolder
from eval.table import entry_of, figure

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

PUBLISHED = (
    ("likelihood", "perplexity"),
    ("likelihood", "bits_per_byte"),
    ("ranking", "hits_at_1"),
    ("sampled", "token_f1"),
    ("sampled", "distinct_1"),
    ("sampled", "distinct_2"),
)


def card_data(
    results: dict | None,
    model: ModelFolder,
    statistics: dict | None,
    model_id: str,
    license: str,
    language: str,
    row: str,
) -> ModelCardData:
    """The metadata block; arguments as of `eval.card_rendering.render_card`."""
    from huggingface_hub import ModelCardData

    found = _eval_results(results, row, _hub_ids(statistics)) if results else []
    index = {"model_name": model_id, "eval_results": found} if found else {}
    return ModelCardData(
        language=language,
        license=license,
        license_name="terms-of-base-and-corpora" if license == "other" else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        base_model=_hub_base(model.base),
        datasets=list(_hub_ids(statistics).values()) or None,
        metrics=list(dict.fromkeys(each.metric_type for each in found)) or None,
        tags=None if model.is_base(statistics, row) else ["conversational", "persona"],
        **index,
    )


def corpus_and_split(source: str, results: dict) -> tuple[str, str | None]:
    """A corpus's name and the split that was evaluated, where the results tell."""
    corpus, _, split = source.rpartition(" ")
    if corpus and split in SPLITS:
        return corpus, split
    splits = results["settings"].get("splits") or []
    return source, splits[0] if len(splits) == 1 else None


def _hub_ids(statistics: dict | None) -> dict[str, str]:
    """By corpus the Hub dataset that was read, of those that did not come from a local copy."""
    downloaded = (statistics or {}).get("options", {}).get("corpora", [])
    return {personachat.NAME: personachat.HUB_ID} if personachat.NAME in downloaded else {}


def _hub_base(base: str | None) -> str | None:
    """The base, where it is a model on the Hub."""
    return None if not base or is_local(base) or looks_like_path(base) else base


def _eval_results(results: dict, row: str, hub_ids: dict[str, str]) -> list[EvalResult]:
    """The main figures of a row as the Hub's `model-index` wants them, unrounded."""
    from huggingface_hub import EvalResult

    found = []
    for source, rows in results["figures"].items():
        corpus, split = corpus_and_split(source, results)
        for group, key in PUBLISHED:
            entry = entry_of(rows, row, group, key)
            if entry and math.isfinite(entry["value"]):
                found.append(
                    EvalResult(
                        task_type="text-generation",
                        task_name="Dialogue",
                        # The Hub takes metrics of one dataset type and split for those of one dataset.
                        dataset_type=hub_ids.get(corpus, corpus),
                        dataset_name=corpus,
                        dataset_split=split,
                        metric_type=key,
                        metric_name=figure(group, key).name,
                        metric_value=entry["value"],
                    )
                )
    return found
