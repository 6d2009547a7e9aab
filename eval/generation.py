"""Replies of a model to given contexts, drawn in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chat.best_of import Candidate, draw_candidates, rank, reply_log_probs
from chat.decoding import DecodingSettings
from chat.dialogue import ASSISTANT
from chat.padding import padded
from chat.reply_checks import ReplyChecks
from eval.formats import Format
from eval.processes import spread

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

BATCH_SIZE = 16
MAX_CANDIDATES = 64


def generate_replies(
    model: PreTrainedModel,
    format_: Format,
    prompts: list[list[int]],
    checks: list[ReplyChecks],
    settings: DecodingSettings,
    seed: int,
    description: str = "generating",
    **weights: float,
) -> list[str]:
    """One reply per prompt, in order, cut to the model's own turn. The same seed gives the same replies.

    Args:
        prompts: ids, each with room for `settings.max_new_tokens` in the model's positions.
        checks: per prompt, what the chat would check a reply for.
        weights: of `chat.best_of.rank`, where not its own.
    """
    from transformers import set_seed

    number_of_draws = settings.best_of if settings.do_sample else 1
    batches = _batches(prompts, max(1, min(BATCH_SIZE, MAX_CANDIDATES // number_of_draws)))
    generation_config = settings.to_generation_config(format_.tokenizer)

    def draw(numbered: tuple[int, list[int]]) -> list[str]:
        number, indices = numbered
        # A seed a batch: the replies do not depend on how many processes share the batches.
        set_seed(seed + number)
        batch = padded([prompts[index] for index in indices], generation_config.pad_token_id, on_left=True)
        input_ids, mask = (each.to(model.device) for each in batch)
        given = {
            "attention_mask": mask,
            "generation_config": generation_config,
            "logits_processor": settings.logits_processors(input_ids.shape[1]),
            "stopping_criteria": [_after_reply(format_, input_ids.shape[1])],
        }
        if number_of_draws > 1:
            drawn = draw_candidates(model, input_ids, number=number_of_draws, **given)
            return [
                _best(model, format_, candidates, checks[index], generation_config.pad_token_id, weights)
                for index, candidates in zip(indices, drawn, strict=True)
            ]
        ids = model.generate(input_ids, **given)[:, input_ids.shape[1] :].tolist()
        return [format_.reply_text(of_reply) for of_reply in ids]

    replies = [""] * len(prompts)
    for (_, indices), texts in spread(batches, draw, description):
        for index, text in zip(indices, texts, strict=True):
            replies[index] = text
    return replies


def _after_reply(format_: Format, prompt_tokens: int) -> Callable[..., torch.Tensor]:
    """A criterion that ends a row of `generate` with its reply: a base would write on, for both speakers."""

    def has_ended(ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        return ids.new_tensor([format_.has_ended(row) for row in ids[:, prompt_tokens:].tolist()]).bool()

    return has_ended


def _batches(prompts: list[list[int]], size: int) -> list[tuple[int, list[int]]]:
    """Indices of prompts of about one length, in numbered batches, the longest first."""
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    return [(number, order[start : start + size]) for number, start in enumerate(range(0, len(order), size))]


def _best(
    model: PreTrainedModel,
    format_: Format,
    drawn: list[Candidate],
    checks: ReplyChecks,
    pad_token_id: int,
    weights: dict[str, float],
) -> str:
    """As the chat chooses: the first in rank that is usable, an echo only where all of them are."""
    label, _ = format_.frame(ASSISTANT)
    candidates = [candidate.cut(format_.reply_length(candidate.ids)) for candidate in drawn]
    generic = reply_log_probs(
        model,
        [[*format_.start_ids, *label]] * len(candidates),
        [each.ids for each in candidates],
        pad_token_id,
    )
    texts = [format_.reply_text(candidates[index].ids) for index in rank(candidates, generic, **weights)]
    usable = sorted(filter(checks.is_usable, texts), key=checks.is_echo)
    return next(iter(usable), texts[0])
