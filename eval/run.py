"""Evaluates a model beside its base on held-out dialogues.

    python -m eval.run --model final_model --base openai-community/gpt2 --data tokenized_combined_dialog_data

Writes `results.json`, every generated reply as `replies.jsonl`, and the table `report.md` to --output.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chat.cli import UserError, parse_arguments, run
from chat.decoding import DecodingSettings
from chat.dialogue import Dialogue
from chat.folders import check_replaceable, whole_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from eval.formats import Format

RESULTS_FORMAT_VERSION = 1
MARKER = "results.json"
METRICS = Path(__file__).parent / "metrics"
LIBRARIES = ("torch", "transformers", "datasets", "evaluate", "tokenizers")


@dataclass(frozen=True)
class EvalArguments:
    model: str = field(metadata={"help": "Path or Hub id of the fine-tuned model."})
    base: str = field(
        default="openai-community/gpt2",
        metadata={
            "help": "Path or Hub id of the model it started from, or its config .json for random weights."
        },
    )
    data: str = field(
        default="tokenized_combined_dialog_data",
        metadata={
            "help": "Dataset of `data_scripts.prepare` (its validation dialogues), or a dialogue .jsonl."
        },
    )
    output: str = field(default="eval_results", metadata={"help": "Folder for the results."})
    max_dialogues: int = field(
        default=0,
        metadata={"help": "Score at most this many dialogues per corpus, drawn by --seed (0: all)."},
    )
    generated_replies: int = field(
        default=300, metadata={"help": "Replies to generate per corpus and model."}
    )
    seed: int = field(
        default=0, metadata={"help": "Seed of the choice of dialogues and of the generated replies."}
    )

    def __post_init__(self):
        for flag, value in (
            ("--max-dialogues", self.max_dialogues),
            ("--generated-replies", self.generated_replies),
        ):
            if value < 0:
                raise UserError(f"{flag} {value}: give 0 or more")


@dataclass(frozen=True)
class Contender:
    """A model with the format in which it sees dialogues."""

    name: str
    model: PreTrainedModel
    format: Format


def evaluate_models(arguments: EvalArguments) -> dict:
    """Scores both models and writes the results to `arguments.output`; returns them."""
    from eval.report import render

    check_replaceable(arguments.output, MARKER, "--output")
    views = _views(_read_dialogues(arguments.data), arguments)
    contenders, settings = _load_contenders(arguments)
    figures: dict[str, dict] = {}
    replies: list[dict] = []
    for source, of_source in views.items():
        figures[source], generated = _evaluate_source(source, of_source, contenders, settings, arguments)
        replies += generated
    results = {
        "format_version": RESULTS_FORMAT_VERSION,
        "models": {role: _describe(contender) for role, contender in contenders.items()},
        "same_reply_ids": _share_vocabulary(contenders),
        "data": {source: _fingerprint(of_source) for source, of_source in views.items()},
        "settings": {
            "decoding": asdict(settings),
            "seed": arguments.seed,
            "max_dialogues": arguments.max_dialogues,
            "generated_replies": arguments.generated_replies,
        },
        "libraries": {library: version(library) for library in LIBRARIES},
        "figures": figures,
    }
    with whole_folder(arguments.output, MARKER, "--output") as folder:
        (folder / MARKER).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        (folder / "report.md").write_text(render(results), encoding="utf-8")
        lines = (json.dumps(reply, ensure_ascii=False) + "\n" for reply in replies)
        (folder / "replies.jsonl").write_text("".join(lines), encoding="utf-8")
    return results


def _read_dialogues(data: str) -> Iterable[Dialogue]:
    from data_scripts import jsonl

    path = Path(data)
    if path.is_dir():
        path = path / "dialogues" / "val.jsonl"
        if not path.is_file():
            raise UserError(
                f"--data {data}: has no `dialogues/val.jsonl`; make it with `python -m data_scripts.prepare`"
            )
    return jsonl.read(path, flag="--data")


def _views(dialogues: Iterable[Dialogue], arguments: EvalArguments) -> dict[str, list[Dialogue]]:
    """Per corpus, the sides of its dialogues that have a reply; each side is one that the model may take."""
    by_source: dict[str, list[Dialogue]] = defaultdict(list)
    for dialogue in dialogues:
        by_source[dialogue.source].append(dialogue)
    if not by_source:
        raise UserError(f"--data {arguments.data}: has no dialogue; give one with dialogues")
    for source, found in by_source.items():
        if 0 < arguments.max_dialogues < len(found):
            by_source[source] = random.Random(arguments.seed).sample(found, arguments.max_dialogues)
    return {source: [view for each in found for view in each.views()] for source, found in by_source.items()}


def _load_contenders(arguments: EvalArguments) -> tuple[dict[str, Contender], DecodingSettings]:
    """Model and base on the same device, and the model's decoding settings, which serve for both."""
    import torch
    from transformers import set_seed

    from chat.hub import load_causal_lm, load_tokenizer
    from chat.template import has_chat_format
    from eval.formats import PlainFormat, TemplateFormat
    from training.model import model_from_config

    tokenizer = load_tokenizer(arguments.model, "--model")
    if not has_chat_format(tokenizer):
        raise UserError(
            f"--model {arguments.model}: was not trained in our chat format; give a fine-tuned model"
        )
    model = load_causal_lm(arguments.model, "--model")
    if arguments.base.endswith(".json"):
        set_seed(arguments.seed)
        base_tokenizer, base = tokenizer, model_from_config(arguments.base, tokenizer).eval()
    else:
        base_tokenizer, base = (
            load_tokenizer(arguments.base, "--base"),
            load_causal_lm(arguments.base, "--base"),
        )
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    contenders = {
        "model": Contender(arguments.model, model.to(device), TemplateFormat(tokenizer)),
        "base": Contender(arguments.base, base.to(device), PlainFormat(base_tokenizer)),
    }
    return contenders, DecodingSettings.from_generation_config(model.generation_config)


def _evaluate_source(
    source: str,
    views: list[Dialogue],
    contenders: dict[str, Contender],
    settings: DecodingSettings,
    arguments: EvalArguments,
) -> tuple[dict, list[dict]]:
    """Figures per contender and for the human replies, and the generated replies with their contexts."""
    from chat.template import MAX_PROMPT_TOKENS, fit_positions
    from eval.formats import prompt_ids
    from eval.generation import generate_replies

    positions = min(contender.model.config.max_position_embeddings for contender in contenders.values())
    contexts = _draw_contexts(views, arguments)
    max_prompt_tokens, max_new_tokens = fit_positions(positions, MAX_PROMPT_TOKENS, settings.max_new_tokens)
    settings = settings.changed(max_new_tokens=max_new_tokens)
    human = [view.turns[index].text for view, index in contexts]
    figures: dict[str, dict] = {"human": _variety(human)}
    generated = [
        {
            "source": source,
            "context": view.messages()[: index - len(view.turns)],
            "human": view.turns[index].text,
        }
        for view, index in contexts
    ]
    for role, contender in contenders.items():
        prompts = [prompt_ids(view, index, contender.format, max_prompt_tokens) for view, index in contexts]
        replies = generate_replies(
            contender.model, contender.format, prompts, settings, arguments.seed, f"{source}: {role} replies"
        )
        for record, reply in zip(generated, replies, strict=True):
            record[role] = reply
        figures[role] = {**_likelihood(source, role, contender, views, positions), **_variety(replies)}
    return figures, generated


def _likelihood(
    source: str, role: str, contender: Contender, views: list[Dialogue], positions: int
) -> dict[str, Any]:
    import evaluate

    from eval.formats import scored_sequences
    from eval.scoring import score_replies

    per_view = [scored_sequences(view, contender.format, positions, positions // 4) for view in views]
    sequences = [sequence for each in per_view for sequence in each]
    losses = score_replies(contender.model, sequences, f"{source}: {role} perplexity")
    owners = [view for view, each in zip(views, per_view, strict=True) for _ in each]
    texts = [
        owner.turns[index].text
        for owner, each in zip(owners, sequences, strict=True)
        for index, _, _ in each.spans
    ]
    flat = [reply for each in losses for reply in each]
    metric = evaluate.load(str(METRICS / "reply_perplexity"))
    return {
        "format": contender.format.name,
        **metric.compute(predictions=flat, references=texts),
        "replies": len(flat),
    }


def _draw_contexts(views: list[Dialogue], arguments: EvalArguments) -> list[tuple[Dialogue, int]]:
    """Which replies to generate: (dialogue, turn index), spread over all replies by the seed."""
    from chat.template import is_reply

    found = [(view, index) for view in views for index, mark in enumerate(is_reply(view.turns)) if mark]
    return random.Random(arguments.seed).sample(found, min(arguments.generated_replies, len(found)))


def _variety(replies: list[str]) -> dict[str, float]:
    import evaluate

    figures = evaluate.load(str(METRICS / "distinct_n")).compute(predictions=replies)
    words = figures.pop("words")
    return {**figures, "generated": len(replies), "mean_words": words / len(replies) if replies else 0.0}


def _share_vocabulary(contenders: dict[str, Contender]) -> bool:
    """Whether the replies have the same ids for both models, so that their perplexities can be compared."""
    from chat.template import extends_vocabulary

    return extends_vocabulary(contenders["model"].format.tokenizer, contenders["base"].format.tokenizer)


def _describe(contender: Contender) -> dict:
    parameters = sum(parameter.numel() for parameter in contender.model.parameters())
    return {"name": contender.name, "parameters": parameters, "format": contender.format.name}


def _fingerprint(views: list[Dialogue]) -> dict:
    digest = hashlib.sha256()
    for view in views:
        digest.update(json.dumps(view.to_json(), sort_keys=True).encode("utf-8"))
    return {"views": len(views), "sha256": digest.hexdigest()}


def main() -> None:
    from eval.report import render

    arguments = parse_arguments(EvalArguments, description=__doc__.splitlines()[0])
    print(render(evaluate_models(arguments)))
    print(f"saved to {arguments.output}")


if __name__ == "__main__":
    run(main)
