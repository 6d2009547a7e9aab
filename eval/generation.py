"""Replies of a model to given contexts, drawn in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.decoding import DecodingSettings
from eval.formats import Format
from eval.processes import spread

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH_SIZE = 16


def generate_replies(
    model: PreTrainedModel,
    format_: Format,
    prompts: list[list[int]],
    settings: DecodingSettings,
    seed: int,
    description: str = "generating",
) -> list[str]:
    """One reply per prompt, in order, cut to the model's own turn. The same seed gives the same replies.

    Args:
        prompts: ids, each with room for `settings.max_new_tokens` in the model's positions.
    """
    from transformers import set_seed

    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    batches = [
        (number, order[start : start + BATCH_SIZE])
        for number, start in enumerate(range(0, len(order), BATCH_SIZE))
    ]
    generation_config = settings.to_generation_config(format_.tokenizer)

    def draw(batch: tuple[int, list[int]]) -> list[str]:
        number, indices = batch
        # A seed a batch: the replies do not depend on how many processes share the batches.
        set_seed(seed + number)
        return _draw(model, format_, [prompts[index] for index in indices], generation_config)

    replies = [""] * len(prompts)
    for (_, indices), texts in spread(batches, draw, description):
        for index, text in zip(indices, texts, strict=True):
            replies[index] = text
    return replies


def _draw(model: PreTrainedModel, format_: Format, prompts: list[list[int]], generation_config) -> list[str]:
    """Replies to prompts of about the same length, padded on the left."""
    import torch

    longest = max(map(len, prompts))
    padding = [longest - len(prompt) for prompt in prompts]
    ids = [
        [generation_config.pad_token_id] * pad + prompt for pad, prompt in zip(padding, prompts, strict=True)
    ]
    mask = [[0] * pad + [1] * (longest - pad) for pad in padding]
    output = model.generate(
        torch.tensor(ids, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        generation_config=generation_config,
    )
    texts = format_.tokenizer.batch_decode(output[:, longest:], skip_special_tokens=True)
    return [format_.cut_reply(text) for text in texts]
