"""How long a reply takes: the seconds to its first token, and between the tokens after it."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

from chat.decoding import DecodingSettings
from eval.formats import Format

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

MAX_NEW_TOKENS = 30


class Clock:
    """A streamer of `generate` that keeps the time of every token."""

    def __init__(self):
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


def time_replies(
    model: PreTrainedModel, format_: Format, prompts: list[list[int]], max_new_tokens: int
) -> tuple[list[float], list[list[float]]]:
    """Per prompt, one at a time: seconds to the first token, and seconds between the following ones.

    Greedy, at most `MAX_NEW_TOKENS` and `max_new_tokens`. One more reply is drawn before, for what is only
    slow the first time.
    """
    import torch

    settings = DecodingSettings(do_sample=False, max_new_tokens=min(MAX_NEW_TOKENS, max_new_tokens))
    generation_config = settings.to_generation_config(format_.tokenizer)
    to_first, between = [], []
    for prompt in [*prompts[:1], *prompts]:
        input_ids = torch.tensor([prompt], device=model.device)
        clock = Clock()
        start = time.perf_counter()
        model.generate(
            input_ids,
            attention_mask=torch.ones_like(input_ids),
            generation_config=generation_config,
            streamer=clock,
        )
        # The first thing that `generate` puts is the prompt.
        times = clock.times[1:]
        to_first.append(times[0] - start)
        between.append([later - earlier for earlier, later in pairwise(times)])
    return to_first[1:], between[1:]
