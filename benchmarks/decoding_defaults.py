"""How the decoding defaults were chosen: replies of one model to the same contexts under many settings.

    python -m benchmarks.decoding_defaults --model models/pocket --data runs/pocket/chat

Beside the figures of each setting stand those of the human replies: variety (distinct-2), length, nearness to
the human reply, use of the persona, and the share of replies that are flawed: empty, repetitive, or said
before in the conversation. Prints a table and, last, one line of JSON.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.reports import report
from chat.best_of import GENERIC_WEIGHT, LENGTH_COST
from chat.cli import UserError, check_numbers, parse_arguments, run
from chat.decoding import DecodingSettings
from chat.hub.loading import load_causal_lm, load_tokenizer
from chat.reply_checks import is_sound
from eval.contenders import weights_sha256
from eval.data import read_views
from eval.figures import Context, text_figures
from eval.formats import TemplateFormat, prompt_ids
from eval.generation import generate_replies
from eval.source import replies_in

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SOURCE = "personachat"
SHOWN = {
    "distinct_2": "distinct-2",
    "mean_words": "words per reply",
    "token_f1": "token F1",
    "persona_use": "use of the persona",
    "earlier_repetition": "repetition of earlier turns",
    "flawed": "flawed",
}


NAMES = {"temperature": float, "top_p": float, "top_k": int, "best_of": int}
WEIGHTS = {"generic_weight": "lambda", "length_cost": "length cost"}


def settings_from(given: str) -> tuple[DecodingSettings, dict[str, float]]:
    """`--settings` has one such text for each setting; the settings, and the weights of `chat.best_of.rank`.

    Raises:
        UserError: it is not six numbers within the chat's limits.
    """
    try:
        values = given.split(",")
        named = zip(NAMES.items(), values[: len(NAMES)], strict=True)
        settings = DecodingSettings(**{name: kind(value) for (name, kind), value in named})
        weights = dict(zip(WEIGHTS, map(float, values[len(NAMES) :]), strict=True))
    except ValueError:
        settings, weights = None, {}
    if settings is None or settings != settings.clamped() or not _are_in_range(**weights):
        raise UserError(
            f"--settings {given}: give temperature,top-p,top-k,best-of,lambda,length-cost within the chat's "
            "limits, such as 0.7,0.9,50,8,0.5,0.02"
        )
    return settings, weights


def _are_in_range(generic_weight: float, length_cost: float) -> bool:
    return 0 <= generic_weight <= 2 and -1 <= length_cost <= 1


@dataclass(frozen=True)
class DecodingArguments:
    model: str = field(metadata={"help": "Path or Hub id of a model in our chat format."})
    data: str = field(
        default="tokenized_combined_dialog_data",
        metadata={"help": "Dataset of `data_scripts.prepare` with PersonaChat's validation dialogues."},
    )
    settings: list[str] = field(
        default_factory=lambda: [
            "0.7,0.9,50,1,0,0",
            "0.9,0.9,50,1,0,0",
            f"0.9,0.9,50,16,{GENERIC_WEIGHT},{LENGTH_COST}",
        ],
        metadata={"help": "Settings to try, each as temperature,top-p,top-k,best-of,lambda,length-cost."},
    )
    replies: int = field(default=300, metadata={"help": "Replies to draw with each setting."})
    seed: int = field(default=0, metadata={"help": "Seed of the choice of contexts and of the replies."})
    output: str | None = field(default=None, metadata={"help": "File for the JSON."})

    def __post_init__(self):
        check_numbers(self, at_least_one=("replies",))
        for given in self.settings:
            settings_from(given)


class Contexts:
    """The contexts that are answered, and the figures of any replies to them."""

    def __init__(self, arguments: DecodingArguments, tokenizer: PreTrainedTokenizerBase, positions: int):
        views = read_views([arguments.data], ["val"], {}, 0, arguments.seed)
        if SOURCE not in views:
            raise UserError(f"--data {arguments.data}: has no {SOURCE}; prepare it with that corpus")
        replies = replies_in(views[SOURCE])
        drawn = random.Random(arguments.seed).sample(replies, min(arguments.replies, len(replies)))
        room = positions - DecodingSettings.max_new_tokens
        self.tokenizer, self.format = tokenizer, TemplateFormat(tokenizer)
        self.prompts = [prompt_ids(view, index, self.format, room) for view, index in drawn]
        self.contexts = [Context.of(view, index) for view, index in drawn]

    def figures(self, replies: list[str], are_human: bool) -> dict[str, float]:
        found = text_figures(replies, self.contexts, len(self.tokenizer), are_human)
        pairs = zip(replies, self.contexts, strict=True)
        flaws = (not is_sound(reply) or reply in context.earlier for reply, context in pairs)
        return {
            **{name: found[name]["value"] for name in SHOWN if name in found},
            "flawed": sum(flaws) / len(replies),
        }


def benchmark(arguments: DecodingArguments) -> dict:
    """Figures by setting, and the human replies' own."""
    model, tokenizer = load_causal_lm(arguments.model), load_tokenizer(arguments.model, "--model")
    contexts = Contexts(arguments, tokenizer, model.config.max_position_embeddings)
    rows = []
    for given in arguments.settings:
        settings, weights = settings_from(given)
        replies = generate_replies(
            model,
            contexts.format,
            contexts.prompts,
            [each.checks for each in contexts.contexts],
            settings,
            arguments.seed,
            given,
            **weights,
        )
        named = {name: getattr(settings, name) for name in NAMES} | weights
        rows.append({**named, **contexts.figures(replies, are_human=False)})
    human = contexts.figures([each.human for each in contexts.contexts], are_human=True)
    return {
        "weights_sha256": weights_sha256(model),
        "replies": len(contexts.contexts),
        "settings": rows,
        "human": human,
    }


def render(results: dict) -> str:
    """The figures as a Markdown table."""
    lines = [
        f"| temperature | top-p | top-k | best of | {' | '.join([*WEIGHTS.values(), *SHOWN.values()])} |",
        "|---|---|---|---|" + "---|" * len([*WEIGHTS, *SHOWN]),
    ]
    for row in results["settings"]:
        names = [f"{row[name]}" for name in NAMES]
        names += [f"{row[name]}" if row["best_of"] > 1 else "" for name in WEIGHTS]
        lines.append(f"| {' | '.join([*names, *_cells(row)])} |")
    return "\n".join([*lines, f"| human | | | | | | {' | '.join(_cells(results['human']))} |"])


def _cells(row: dict) -> list[str]:
    forms = {"mean_words": "{:.1f}", "flawed": "{:.1%}"}
    return [forms.get(name, "{:.3f}").format(row[name]) if name in row else "" for name in SHOWN]


def main() -> None:
    arguments = parse_arguments(DecodingArguments, description=__doc__)
    report(benchmark(arguments), render, arguments.output)


if __name__ == "__main__":
    run(main)
