"""What is scored, and that batching does not change it."""

import pytest
import torch

from chat.dialogue import Dialogue, Turn
from chat.template import add_chat_format, is_reply
from data_scripts import jsonl
from eval.formats import PlainFormat, TemplateFormat, prompt_ids, scored_sequences
from eval.scoring import score_replies

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
def model(model_folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_folder).eval()


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


def test_the_plain_format_is_a_transcript(base_tokenizer):
    transcript = "About B: I have two cats.\nA:\nHi!\nB:\nHello, you.\nA:\nPets?\nB:\n"
    ids = prompt_ids(DIALOGUE, 3, PlainFormat(base_tokenizer), 256)
    assert base_tokenizer.decode(ids) == f"<|endoftext|>{transcript}"
    assert PlainFormat(base_tokenizer).cut_reply(" Two cats.\nA:\nNice.") == "Two cats."


def test_prompts_drop_old_turns_and_keep_the_persona(tokenizer):
    long = Dialogue("test", DIALOGUE.turns * 20, DIALOGUE.persona)
    for format_ in (TemplateFormat(tokenizer), PlainFormat(tokenizer)):
        ids = prompt_ids(long, 79, format_, 120)
        assert len(ids) <= 120 and "I have two cats." in tokenizer.decode(ids[:60])


def test_losses_are_those_of_a_naive_loop(model, tokenizer, views):
    sequences = [
        each for view in views for each in scored_sequences(view, TemplateFormat(tokenizer), 256, 64)
    ]
    assert len({len(sequence.input_ids) for sequence in sequences}) > 5
    scored = score_replies(model, sequences)
    for sequence, losses in zip(sequences, scored, strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([sequence.input_ids])).logits[0]
        log_probabilities = torch.log_softmax(logits.double(), dim=-1)
        for (_, start, end), reply in zip(sequence.spans, losses, strict=True):
            naive = [-log_probabilities[i - 1, sequence.input_ids[i]].item() for i in range(start, end)]
            assert reply == pytest.approx(naive, abs=1e-5)


def test_the_chat_format_leaves_the_bases_ids_alone(base_tokenizer, tokenizer):
    import copy

    extended = add_chat_format(copy.deepcopy(base_tokenizer))
    text = "What's up? <|user|> No."
    assert extended(text, split_special_tokens=True)["input_ids"] == base_tokenizer(text)["input_ids"]
