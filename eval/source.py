"""The evaluation of one corpus: every contender's figures, and the replies that they come from."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from chat.decoding import DecodingSettings
from chat.dialogue import Dialogue
from chat.sequences import is_reply
from eval import figures
from eval.contenders import Contender, Lengths
from eval.formats import prompt_ids
from eval.generation import generate_replies
from eval.latency import time_replies
from eval.processes import by_first
from eval.ranking import rankable, score_candidates
from eval.scoring import score_views
from eval.stages import Stages


class SourceEvaluation:
    """All that is measured on one corpus.

    Args:
        limits: how many replies are generated, ranked (0: all) and timed.
    """

    def __init__(
        self,
        source: str,
        views: list[Dialogue],
        contenders: list[Contender],
        decoding: DecodingSettings,
        limits: dict[str, int],
        seed: int,
        stages: Stages,
    ):
        self.source, self.views, self.contenders = source, views, contenders
        self.limits, self.seed, self.stages = limits, seed, stages
        self.lengths = Lengths.of(contenders, decoding)
        drawn = decoding.changed(max_new_tokens=self.lengths.max_new_tokens)
        self.decodings = {"sampled": drawn.changed(do_sample=True), "greedy": drawn.changed(do_sample=False)}
        if drawn.best_of > 1:
            self.decodings["unranked"] = drawn.changed(do_sample=True, best_of=1)
        self.contexts = self._drawn(replies_in(views), limits["generated_replies"])
        self.before = [figures.Context.of(view, index) for view, index in self.contexts]
        ranked = rankable(views)
        self.ranked = self._drawn(ranked, limits["ranked_replies"] or len(ranked))

    def _drawn(self, found: list[tuple[Dialogue, int]], number: int) -> list[tuple[Dialogue, int]]:
        return random.Random(self.seed).sample(found, min(number, len(found)))

    def by_row(self) -> dict:
        """By row (model, base, ...), group and figure."""
        rows: dict[str, dict] = {}
        for contender in self.contenders:
            groups = rows.setdefault(contender.row, {})
            groups["likelihood"] = self._stage(contender, "likelihood", self._likelihood)
            if self.ranked and contender.generates:
                groups["ranking"] = self._stage(contender, "ranking", self._ranking)
            if self.contexts and contender.generates:
                for name in self.decodings:
                    groups[name] = self._text_figures(self._generated(contender, name), are_human=False)
                if self.limits["timed_replies"]:
                    groups["latency"] = self._stage(contender, "latency", self._latency)
        if self.contexts:
            human = [view.turns[index].text for view, index in self.contexts]
            rows["human"] = {"sampled": self._text_figures(human, are_human=True)}
        return rows

    def replies(self) -> list[dict]:
        """Every generated reply with its context."""
        generated = {
            each.row: {name: self._generated(each, name) for name in self.decodings}
            for each in self.contenders
            if each.generates
        }
        return [
            {
                "source": self.source,
                "context": view.messages()[: index - len(view.turns)],
                "human": view.turns[index].text,
                **{
                    row: {name: texts[number] for name, texts in by_decoding.items()}
                    for row, by_decoding in generated.items()
                },
            }
            for number, (view, index) in enumerate(self.contexts)
        ]

    def _stage(self, contender: Contender, name: str, compute: Callable[[Contender], Any]) -> Any:
        return self.stages.run(f"{self.source} {contender.row} {name}", lambda: compute(contender))

    def _prompts(self, contender: Contender) -> list[list[int]]:
        return [
            prompt_ids(view, index, contender.format, self.lengths.max_prompt_tokens)
            for view, index in self.contexts
        ]

    def _likelihood(self, contender: Contender) -> dict:
        description = f"{self.source}: {contender.row} perplexity"
        scored = score_views(
            contender.model, contender.format, self.views, self.lengths.positions, description
        )
        return figures.likelihood(*scored, dialogue_numbers(self.views))

    def _ranking(self, contender: Contender) -> dict:
        bare = [(replace(view, persona=()), index) for view, index in self.ranked]
        alone = [
            (replace(view, persona=(), turns=view.turns[index : index + 1]), 0) for view, index in self.ranked
        ]

        def scored(replies: list[tuple[Dialogue, int]], what: str = "") -> list[list[float]]:
            description = f"{self.source}: {contender.row} ranking{what}"
            return score_candidates(
                contender.model,
                contender.format,
                replies,
                self.lengths.max_ranked_prompt_tokens,
                self.lengths.max_candidate_tokens,
                description,
            )

        has_persona = any(view.persona for view, _ in self.ranked)
        return figures.ranking(
            scored(self.ranked),
            scored(bare, " without persona") if has_persona else None,
            scored(alone, " without a conversation"),
            dialogue_numbers([view for view, _ in self.ranked]),
        )

    def _generated(self, contender: Contender, decoding: str) -> list[str]:
        return self._stage(
            contender,
            f"{decoding} replies",
            lambda contender: generate_replies(
                contender.model,
                contender.format,
                self._prompts(contender),
                [each.checks for each in self.before],
                self.decodings[decoding],
                self.seed,
                f"{self.source}: {contender.row} {decoding} replies",
            ),
        )

    def _text_figures(self, replies: list[str], are_human: bool) -> dict:
        vocab_size = max(len(each.format.tokenizer) for each in self.contenders)
        return figures.text_figures(replies, self.before, vocab_size, are_human)

    def _latency(self, contender: Contender) -> dict:
        prompts = self._prompts(contender)[: self.limits["timed_replies"]]
        longest = self.decodings["greedy"].max_new_tokens
        # By one process: several that compute at once slow each other down.
        return figures.latency(
            *by_first(lambda: time_replies(contender.model, contender.format, prompts, longest))
        )


def replies_in(views: Iterable[Dialogue]) -> list[tuple[Dialogue, int]]:
    """The human replies in whose place a model writes its own: (dialogue, turn index)."""
    return [(view, index) for view in views for index, mark in enumerate(is_reply(view.turns)) if mark]


def dialogue_numbers(views: Iterable[Dialogue]) -> list[int]:
    """Per view, the number of its dialogue, of which there may be a view from each side."""
    numbers: dict[tuple[str, ...], int] = {}
    texts = (tuple(turn.text for turn in view.turns) for view in views)
    return [numbers.setdefault(of_view, len(numbers)) for of_view in texts]
