"""Best of N: several replies are drawn, and the one that owes the most to the conversation is given.

They are ranked by log P(reply | conversation) - GENERIC_WEIGHT * log P(reply), both per token: what would do
anywhere ("I like it.") loses to what this conversation asks for. Each token costs LENGTH_COST on top: the
more a small model says, the likelier it contradicts itself. Source: MMI-antiLM, Li et al., 2016, "A
Diversity-Promoting Objective Function for Neural Conversation Models", https://aclanthology.org/N16-1014/,
whose score weighs the length, too.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chat.padding import padded

if TYPE_CHECKING:
    import torch
    from transformers import Cache, GenerationConfig, PreTrainedModel

# Above it replies vary more and make less sense: rare words win (`models/README.md` has what was tried).
GENERIC_WEIGHT = 0.85
# In nats per token, for each token that the reply has.
LENGTH_COST = 0.02


@dataclass(frozen=True)
class Candidate:
    """A drawn reply.

    Attributes:
        ids: its tokens, up to and with the end of turn where that was drawn.
        log_probs: of each given the conversation, in nats, under the model as it is (temperature 1).
    """

    ids: list[int]
    log_probs: list[float]

    def cut(self, length: int) -> Candidate:
        """The first `length` tokens."""
        return Candidate(self.ids[:length], self.log_probs[:length])


def draw_candidates(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    generation_config: GenerationConfig,
    number: int,
    **given: Any,
) -> list[list[Candidate]]:
    """`number` replies to each prompt, all in one batch.

    Args:
        input_ids: (prompts, tokens), padded on the left.
        attention_mask: of the same shape.
        given: passed on to `generate`.
    """
    config = copy.deepcopy(generation_config)
    config.return_dict_in_generate = config.output_logits = True
    output = model.generate(
        input_ids.repeat_interleave(number, dim=0),
        attention_mask=attention_mask.repeat_interleave(number, dim=0),
        generation_config=config,
        cache=_cache_of_prompts(model, input_ids, attention_mask, number, config.pad_token_id),
        **given,
    )
    log_probs = model.compute_transition_scores(output.sequences, output.logits, normalize_logits=True)
    drawn = [
        _until_end(ids, scores, config.eos_token_id)
        for ids, scores in zip(
            output.sequences[:, input_ids.shape[1] :].tolist(), log_probs.tolist(), strict=True
        )
    ]
    return [drawn[start : start + number] for start in range(0, len(drawn), number)]


def _cache_of_prompts(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    number: int,
    pad_token_id: int,
) -> Cache | None:
    """Keys and values of all but the last token of each prompt, read once and kept `number` times.

    `generate` itself, asked for several replies, reads each prompt as many times. None of a model that keeps
    nothing.
    """
    import torch
    from transformers import GenerationConfig

    if input_ids.shape[1] < 2:
        return None
    read = GenerationConfig(
        max_new_tokens=1, do_sample=False, return_dict_in_generate=True, pad_token_id=pad_token_id
    )
    cache = model.generate(
        input_ids[:, :-1], attention_mask=attention_mask[:, :-1], generation_config=read
    ).cache
    if cache is None or not cache.get_seq_length():
        return None
    cache.reorder_cache(torch.arange(len(input_ids)).repeat_interleave(number))
    return cache


def _until_end(ids: list[int], log_probs: list[float], eos_token_id: int) -> Candidate:
    length = ids.index(eos_token_id) + 1 if eos_token_id in ids else len(ids)
    return Candidate(ids, log_probs).cut(length)


def preference(log_prob: float, generic: float, generic_weight: float = GENERIC_WEIGHT) -> float:
    """log P(reply | conversation) less the weighted log P(reply), both in nats of the same tokens."""
    return log_prob - generic_weight * generic


def rank(
    candidates: list[Candidate],
    generic: list[float],
    generic_weight: float = GENERIC_WEIGHT,
    length_cost: float = LENGTH_COST,
) -> list[int]:
    """Indices of the candidates, the best first; those without a token come last.

    Args:
        generic: log P(reply) of each, in nats.
        generic_weight: lambda of Li et al.
        length_cost: what each token of a reply takes from its nats per token; -gamma of Li et al.
    """

    def score(index: int) -> float:
        candidate = candidates[index]
        length = len(candidate.ids)
        if not length:
            return float("-inf")
        owed = preference(sum(candidate.log_probs), generic[index], generic_weight)
        return owed / length - length_cost * length

    return sorted(range(len(candidates)), key=score, reverse=True)


def reply_log_probs(
    model: PreTrainedModel, prompts: list[list[int]], replies: list[list[int]], pad_token_id: int
) -> list[float]:
    """log P(reply | prompt) of each pair of ids, in nats, in one batch that is padded on the right."""
    import torch

    rows = [[*prompt, *reply] for prompt, reply in zip(prompts, replies, strict=True)]
    starts = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
    input_ids, mask = (each.to(model.device) for each in padded(rows, pad_token_id))
    with torch.inference_mode():
        logits = model(input_ids=input_ids, attention_mask=mask, use_cache=False).logits
    log_probs = log_probs_of(input_ids, logits)
    of_reply = mask[:, 1:] * (torch.arange(1, input_ids.shape[1], device=model.device) >= starts[:, None])
    return (log_probs * of_reply).sum(-1).tolist()


def log_probs_of(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """log P of each token but the first, given those before it, in nats; shape (rows, tokens - 1).

    Args:
        ids: shape (rows, tokens).
        logits: a model's for them; shape (rows, tokens, vocabulary).
    """
    return logits[:, :-1].float().log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
