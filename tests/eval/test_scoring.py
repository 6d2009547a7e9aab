"""What is scored, and that batching does not change it."""

import math
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chat import jsonl
from chat.dialogue import Dialogue, Turn
from chat.sequences import is_reply
from chat.template import add_chat_format
from eval import processes
from eval.figures import likelihood, metric
from eval.formats import PlainFormat, TemplateFormat, prompt_ids, scored_sequences
from eval.scoring import score_replies, score_views

DIALOGUE = Dialogue(
    "test",
    (
        Turn("user", "Hi!"),
        Turn("assistant", "Hello, you."),
        Turn("user", "Pets?"),
        Turn("assistant", "Two cats."),
    ),
    ("I have two cats.",),
)


@pytest.fixture(scope="module")
def base_tokenizer(base_tokenizer_folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base_tokenizer_folder)


@pytest.fixture(scope="module")
def sequences(views, tokenizer):
    found = [each for view in views for each in scored_sequences(view, TemplateFormat(tokenizer), 256, 64)]
    assert len({len(sequence.input_ids) for sequence in found}) > 5
    return found


@pytest.fixture(scope="module")
def views(prepared):
    dialogues = jsonl.read(prepared / "dialogues" / "val.jsonl")
    return [view for each in dialogues for view in each.views()]


def scored_ids(sequences):
    return [
        tuple(sequence.input_ids[start:end]) for sequence in sequences for _, start, end in sequence.spans
    ]


def test_both_formats_score_the_same_ids(tokenizer, base_tokenizer, views):
    total = 0
    for view in views:
        ours = scored_sequences(view, TemplateFormat(tokenizer), 256, 64)
        plain = scored_sequences(view, PlainFormat(base_tokenizer), 256, 64)
        assert scored_ids(ours) == scored_ids(plain)
        assert all(len(sequence.input_ids) <= 256 for sequence in (*ours, *plain))
        total += len(scored_ids(ours))
    assert total == sum(sum(is_reply(view.turns)) for view in views)


def test_the_scored_ids_are_the_replies_texts_alone(tokenizer):
    [sequence] = scored_sequences(DIALOGUE, TemplateFormat(tokenizer), 256, 64)
    assert [tokenizer.decode(ids) for ids in scored_ids([sequence])] == ["Hello, you.", "Two cats."]
    assert [index for index, _, _ in sequence.spans] == [1, 3]


def test_of_a_long_reply_the_bytes_are_those_that_were_scored(tokenizer, model):
    long = Dialogue("test", (Turn("user", "Hi!"), Turn("assistant", "I have two cats. " * 50)))
    [[nats]], [[text]] = score_views(model, TemplateFormat(tokenizer), [long], positions=256)
    assert len(nats) == 64 == len(tokenizer(text, add_special_tokens=False)["input_ids"])
    assert long.turns[1].text.startswith(text)
    losses, texts = score_views(model, TemplateFormat(tokenizer), [DIALOGUE], positions=256)
    assert texts == [["Hello, you.", "Two cats."]] and len(losses[0]) == 2


@pytest.mark.parametrize("positions", [40, 64, 256])
def test_long_texts_and_a_long_persona_end_in_sequences_that_fit(tokenizer, base_tokenizer, positions):
    words = "I have two cats and a very old dog. " * 30
    turns = tuple(Turn(("user", "assistant")[number % 2], words) for number in range(6))
    view = Dialogue("test", turns, (words,))
    for format_ in (TemplateFormat(tokenizer), PlainFormat(base_tokenizer)):
        found = scored_sequences(view, format_, positions, positions // 4)
        assert sorted(index for each in found for index, _, _ in each.spans) == [1, 3, 5]
        assert all(len(each.input_ids) <= positions for each in found)


def test_the_plain_format_is_a_transcript(base_tokenizer):
    transcript = "About B: I have two cats.\nA:\nHi!\nB:\nHello, you.\nA:\nPets?\nB:\n"
    ids = prompt_ids(DIALOGUE, 3, PlainFormat(base_tokenizer), 256)
    assert base_tokenizer.decode(ids) == f"<|endoftext|>{transcript}"


def test_prompts_drop_old_turns_and_keep_the_persona(tokenizer):
    long = Dialogue("test", DIALOGUE.turns * 20, DIALOGUE.persona)
    for format_ in (TemplateFormat(tokenizer), PlainFormat(tokenizer)):
        ids = prompt_ids(long, 79, format_, 120)
        assert len(ids) <= 120 and "I have two cats." in tokenizer.decode(ids[:60])


def test_a_prompt_keeps_its_length_where_persona_and_last_message_are_both_long(tokenizer):
    long = " ".join(["cats"] * 300)
    dialogue = Dialogue("test", (Turn("user", f"{long} Why?"), Turn("assistant", "Hi.")), (long,))
    for format_, label in ((TemplateFormat(tokenizer), "<|user|>"), (PlainFormat(tokenizer), "A:\n")):
        ids = prompt_ids(dialogue, 1, format_, 120)
        text = tokenizer.decode(ids)
        assert len(ids) == 120 and label in text and "cats Why?" in text


def perplexity(losses):
    flat = [reply for sequence in losses for reply in sequence]
    return metric("reply_perplexity").compute(predictions=flat, references=[""] * len(flat))["perplexity"]


def test_perplexity_is_that_of_a_naive_loop(model, sequences):
    """One forward pass a token, no batch, no padding, another way to sum."""
    naive = []
    for sequence in sequences[:6]:
        for _, start, end in sequence.spans:
            for i in range(start, end):
                with torch.inference_mode():
                    logits = model(torch.tensor([sequence.input_ids[:i]])).logits[0, -1]
                naive.append(-torch.log_softmax(logits.double(), dim=-1)[sequence.input_ids[i]].item())
    scored = score_replies(model, sequences[:6])
    assert [loss for each in scored for reply in each for loss in reply] == pytest.approx(naive, abs=1e-5)
    assert perplexity(scored) == pytest.approx(math.exp(sum(naive) / len(naive)), rel=1e-6)


@pytest.fixture(scope="module")
def expected(model, sequences):
    return score_replies(model, sequences)


@settings(max_examples=8, deadline=None)
@given(data=st.data(), batch_tokens=st.sampled_from([1, 100, 700, 4096]))
def test_order_batch_size_and_padding_side_do_not_change_it(
    model, tokenizer, sequences, expected, data, batch_tokens
):
    order = data.draw(st.permutations(range(len(sequences))))
    with (
        mock.patch.object(processes, "MAX_BATCH_TOKENS", batch_tokens),
        mock.patch.object(tokenizer, "padding_side", data.draw(st.sampled_from(["left", "right"]))),
    ):
        found = score_replies(model, [sequences[index] for index in order])
    assert perplexity(found) == pytest.approx(perplexity(expected), rel=1e-6)
    for index, losses in zip(order, found, strict=True):
        for one, other in zip(losses, expected[index], strict=True):
            assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("takes", [True, False])
def test_logits_are_computed_for_what_is_scored(model, sequences, expected, monkeypatch, takes):
    """A model that cannot choose computes all of them, and the losses are the same."""
    monkeypatch.setattr("chat.layouts.takes_logits_to_keep", lambda _: takes)
    projected = []
    hook = model.lm_head.register_forward_pre_hook(
        lambda _, given: projected.append(given[0].shape[:-1].numel())
    )
    found = score_replies(model, sequences)
    hook.remove()
    tokens = sum(len(reply) for each in found for reply in each)
    assert (sum(projected) == tokens) == takes
    for each, alone in zip(found, expected, strict=True):
        assert [sum(reply) for reply in each] == pytest.approx([sum(reply) for reply in alone], rel=1e-4)


def test_no_batch_with_its_padding_is_larger_than_the_memory_is_meant_for():
    lengths = [900, 5, 300, 1024, 7, 5000, 512, 6] * 30
    found = processes.by_length(lengths)
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    padded = [max(lengths[index] for index in batch) * len(batch) for batch in found]
    assert all(size <= processes.MAX_BATCH_TOKENS for size in padded[30:]) and padded[:30] == [5000] * 30
    assert len(found) < len(lengths) / 2


def test_the_chat_format_leaves_the_bases_ids_alone(base_tokenizer):
    import copy

    extended = add_chat_format(copy.deepcopy(base_tokenizer))
    text = "What's up? <|user|> No."
    assert extended(text, split_special_tokens=True)["input_ids"] == base_tokenizer(text)["input_ids"]


def test_the_two_sides_of_a_dialogue_are_one_dialogue_in_the_intervals():
    """As wide as if each dialogue had one side, where both are alike; by half narrower if they were two."""
    from eval.source import dialogue_numbers

    turns = [(Turn("user", f"Hi {n}!"), Turn("assistant", f"Ho {n}!")) for n in range(40)]
    dialogues = [Dialogue("films", each) for each in turns]
    views = [view for dialogue in dialogues for view in dialogue.views()]
    numbers = dialogue_numbers(views)
    assert numbers == [n for n in range(40) for _ in range(2)]
    losses = [[[1.0 + n % 7]] for n in range(40)]
    texts = [["text"]] * 40
    one_side = likelihood(losses, texts, [*range(40)])
    both = likelihood([each for each in losses for _ in range(2)], texts * 2, numbers)
    assert both["bits_per_byte"] == pytest.approx(one_side["bits_per_byte"])
    assert both["replies"]["value"] == 80
