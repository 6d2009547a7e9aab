"""Replies of a model to given contexts, drawn in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm.auto import tqdm

from chat.decoding import DecodingSettings
from eval.formats import Format

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
    import torch
    from transformers import set_seed

    tokenizer = format_.tokenizer
    generation_config = settings.to_generation_config(tokenizer)
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    replies = [""] * len(prompts)
    set_seed(seed)
    for start in tqdm(range(0, len(order), BATCH_SIZE), desc=description, unit=" batches"):
        batch = order[start : start + BATCH_SIZE]
        longest = len(prompts[batch[0]])
        padding = [longest - len(prompts[index]) for index in batch]
        ids = [
            [generation_config.pad_token_id] * pad + prompts[index]
            for pad, index in zip(padding, batch, strict=True)
        ]
        mask = [[0] * pad + [1] * (longest - pad) for pad in padding]
        output = model.generate(
            torch.tensor(ids, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            generation_config=generation_config,
        )
        texts = tokenizer.batch_decode(output[:, longest:], skip_special_tokens=True)
        for index, text in zip(batch, texts, strict=True):
            replies[index] = format_.cut_reply(text)
    return replies
