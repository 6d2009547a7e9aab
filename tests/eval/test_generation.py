"""Batched replies: in order, the same as one by one, and repeatable."""

import pytest

from chat.decoding import DecodingSettings
from chat.reply_checks import ReplyChecks
from eval.formats import PlainFormat, TemplateFormat
from eval.generation import BATCH_SIZE, generate_replies
from tests.tiny_models import heeding_model


@pytest.fixture(scope="module")
def model(model_folder):
    return heeding_model(model_folder)


@pytest.fixture(scope="module")
def prompts(tokenizer):
    from chat.template import encode_prompt

    texts = [f"Tell me about {'the number ' * (i % 5)}{i}." for i in range(BATCH_SIZE + 5)]
    return [encode_prompt(tokenizer, [{"role": "user", "content": text}]) for text in texts]


def generated(model, format_, prompts, settings, seed):
    return generate_replies(model, format_, prompts, [ReplyChecks((), ())] * len(prompts), settings, seed)


def test_batches_give_the_replies_of_single_prompts(model, tokenizer, prompts):
    format_, greedy = TemplateFormat(tokenizer), DecodingSettings(do_sample=False, max_new_tokens=8)
    together = generated(model, format_, prompts, greedy, seed=0)
    alone = [generated(model, format_, [prompt], greedy, seed=0)[0] for prompt in prompts]
    assert together == alone and len(set(together)) > len(prompts) // 2


def test_a_base_whose_tokenizer_has_neither_end_nor_padding_replies(model, endless_tokenizer):
    """Batched as alone: the padding is masked, whatever fills it."""
    format_, greedy = PlainFormat(endless_tokenizer), DecodingSettings(do_sample=False, max_new_tokens=8)
    prompts = endless_tokenizer(["A:\nHi!\nB:\n", "A:\nTell me about the number of them.\nB:\n"])["input_ids"]
    together = generated(model, format_, prompts, greedy, seed=0)
    assert together == [generated(model, format_, [prompt], greedy, seed=0)[0] for prompt in prompts]
    drawn = generated(model, format_, prompts, DecodingSettings(max_new_tokens=8, best_of=3), seed=0)
    assert len(drawn) == 2


def test_the_seed_decides(model, tokenizer, prompts):
    format_, settings = TemplateFormat(tokenizer), DecodingSettings(max_new_tokens=8)
    first, again, other = (generated(model, format_, prompts, settings, seed=s) for s in (1, 1, 2))
    assert first == again != other


def test_the_best_of_several_is_what_the_chat_gives(model, tokenizer, prompts):
    """With one prompt a batch the draws of `generate_replies` and of the engine are the same."""
    from chat.torch_engine import TorchEngine

    settings = DecodingSettings(temperature=1.5, top_k=0, top_p=1.0, max_new_tokens=8, best_of=16)
    [reply] = generated(model, TemplateFormat(tokenizer), prompts[:1], settings, seed=4)
    engine = TorchEngine(model, tokenizer, "tiny", model.config.max_position_embeddings)
    said = engine.reply([{"role": "user", "content": "Tell me about 0."}], settings.changed(seed=4))
    assert reply == said != ""


def test_a_base_is_judged_by_its_first_line_alone(model, tokenizer):
    format_ = PlainFormat(tokenizer)
    ids = tokenizer("\nI am well.\nA:\nGood.", add_special_tokens=False)["input_ids"]
    own = ids[: format_.reply_length(ids)]
    assert tokenizer.decode(own) == "\nI am well.\n" and format_.reply_text(own) == "I am well."
    assert format_.reply_length(own[:-1]) == len(own) - 1
    settings = DecodingSettings(temperature=1.2, max_new_tokens=8, best_of=3)
    prompts = [tokenizer(f"A:\nHi {i}\nB:\n", add_special_tokens=False)["input_ids"] for i in range(3)]
    first, again = (generated(model, format_, prompts, settings, seed=1) for _ in range(2))
    assert first == again and not any("\n" in reply for reply in first)


def test_a_base_writes_no_further_than_its_line(model, tokenizer, monkeypatch):
    """What comes after it is thrown away: it costs time, and changes no reply."""
    [line_end] = tokenizer("\n", add_special_tokens=False)["input_ids"]
    passes = []

    def likely_to_end(module, inputs, output):
        passes.append(module)
        output.logits[..., line_end] += 5

    prompts = [tokenizer(f"A:\nHi {i}\nB:\n", add_special_tokens=False)["input_ids"] for i in range(3)]
    settings = DecodingSettings(temperature=1.5, top_k=0, top_p=1.0, max_new_tokens=100)
    hook = model.register_forward_hook(likely_to_end)
    try:
        short = generated(model, PlainFormat(tokenizer), prompts, settings, seed=1)
        assert len(passes) < 100 and any(short)
        monkeypatch.setattr(PlainFormat, "has_ended", lambda *_: False)
        assert generated(model, PlainFormat(tokenizer), prompts, settings, seed=1) == short
    finally:
        hook.remove()


def test_a_reply_that_is_cut_ends_with_its_last_whole_sentence(tokenizer):
    ids = tokenizer("I am well. And I", add_special_tokens=False)["input_ids"]
    for format_, end in (
        (TemplateFormat(tokenizer), [tokenizer.eos_token_id]),
        (PlainFormat(tokenizer), tokenizer("\nA:", add_special_tokens=False)["input_ids"]),
    ):
        assert format_.reply_text(ids) == "I am well."
        assert format_.reply_text([*ids, *end]) == "I am well. And I"


def test_the_best_of_several_is_none_that_was_said(model, tokenizer, prompts):
    settings = DecodingSettings(temperature=1.5, top_k=0, top_p=1.0, max_new_tokens=8, best_of=16)
    format_ = TemplateFormat(tokenizer)
    [best] = generated(model, format_, prompts[:1], settings, seed=4)

    class Said(ReplyChecks):
        def is_usable(self, reply):
            return reply != best

    [other] = generate_replies(model, format_, prompts[:1], [Said((), ())], settings, seed=4)
    assert other != best


def test_a_models_own_frequency_penalty_holds(model, tokenizer, prompts):
    format_, greedy = TemplateFormat(tokenizer), DecodingSettings(do_sample=False, max_new_tokens=20)
    plain, rarer = (
        generated(model, format_, prompts, greedy.changed(frequency_penalty=penalty), seed=0)
        for penalty in (0.0, 2.0)
    )
    assert plain != rarer
