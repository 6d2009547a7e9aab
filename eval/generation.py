"""Replies of a model to given contexts, drawn in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm.auto import tqdm

from chat.decoding import DecodingSettings
from chat.template import has_chat_format
from eval.formats import Format

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel

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
    pad_token_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    replies = [""] * len(prompts)
    set_seed(seed)
    for start in tqdm(range(0, len(order), BATCH_SIZE), desc=description, unit=" batches"):
        batch = order[start : start + BATCH_SIZE]
        longest = len(prompts[batch[0]])
        padding = [longest - len(prompts[index]) for index in batch]
        ids = [[pad_token_id] * pad + prompts[index] for pad, index in zip(padding, batch, strict=True)]
        mask = [[0] * pad + [1] * (longest - pad) for pad in padding]
        output = model.generate(
            torch.tensor(ids, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            generation_config=_generation_config(format_, settings, pad_token_id),
        )
        texts = tokenizer.batch_decode(output[:, longest:], skip_special_tokens=True)
        for index, text in zip(batch, texts, strict=True):
            replies[index] = format_.cut_reply(text)
    return replies


def _generation_config(format_: Format, settings: DecodingSettings, pad_token_id: int) -> GenerationConfig:
    from transformers import GenerationConfig

    if has_chat_format(format_.tokenizer):
        return settings.to_generation_config(format_.tokenizer)
    return GenerationConfig(
        do_sample=settings.do_sample,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        max_new_tokens=settings.max_new_tokens,
        eos_token_id=format_.tokenizer.eos_token_id,
        pad_token_id=pad_token_id,
    )
