"""Batched replies: in order, the same as one by one, and repeatable."""

import pytest

from chat.decoding import DecodingSettings
from eval.formats import TemplateFormat
from eval.generation import BATCH_SIZE, generate_replies


@pytest.fixture(scope="module")
def model(model_folder):
    """Random weights scaled up, so that replies depend on their prompts."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


@pytest.fixture(scope="module")
def prompts(tokenizer):
    from chat.template import encode_prompt

    texts = [f"Tell me about {'the number ' * (i % 5)}{i}." for i in range(BATCH_SIZE + 5)]
    return [encode_prompt(tokenizer, [{"role": "user", "content": text}]) for text in texts]


def test_batches_give_the_replies_of_single_prompts(model, tokenizer, prompts):
    format_, greedy = TemplateFormat(tokenizer), DecodingSettings(do_sample=False, max_new_tokens=8)
    together = generate_replies(model, format_, prompts, greedy, seed=0)
    alone = [generate_replies(model, format_, [prompt], greedy, seed=0)[0] for prompt in prompts]
    assert together == alone and len(set(together)) > len(prompts) // 2


def test_the_seed_decides(model, tokenizer, prompts):
    format_, settings = TemplateFormat(tokenizer), DecodingSettings(max_new_tokens=8)
    first, again, other = (generate_replies(model, format_, prompts, settings, seed=s) for s in (1, 1, 2))
    assert first == again != other
