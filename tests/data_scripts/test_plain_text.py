"""Dialogues as plain text: what is learnt, and how long documents are divided."""

from itertools import pairwise

import pytest

from chat.dialogue import Dialogue, Turn
from chat.sequences import IGNORED_LABEL
from data_scripts.plain_text import encode_plain_texts

DIALOGUE = Dialogue(
    "test", (Turn("user", "Hi <|endoftext|> there!"), Turn("assistant", "Hello.")), ("I like tea.",)
)


def test_a_document_is_its_lines_without_roles_and_persona(tokenizer):
    [[sequence]] = encode_plain_texts(tokenizer, [DIALOGUE], 256)
    assert tokenizer.decode(sequence.input_ids[1:-1]) == "Hi <|endoftext|> there!\nHello."
    borders = [index for index, id_ in enumerate(sequence.input_ids) if id_ == tokenizer.eos_token_id]
    assert borders == [0, len(sequence.input_ids) - 1]
    assert sequence.labels == [IGNORED_LABEL, *sequence.input_ids[1:]] and sequence.replies == 2


def test_a_long_document_is_learnt_once_token_by_token(tokenizer):
    [[whole]] = encode_plain_texts(tokenizer, [DIALOGUE], 256)
    for length in (2, 3, 7, len(whole.input_ids) - 1, len(whole.input_ids)):
        [parts] = encode_plain_texts(tokenizer, [DIALOGUE], length)
        assert all(2 <= len(part.input_ids) <= length for part in parts)
        assert [id_ for part in parts for id_ in part.labels[1:]] == whole.labels[1:]
        assert all(one.input_ids[-1] == next_.input_ids[0] for one, next_ in pairwise(parts))
        assert sum(part.replies for part in parts) == 2


@pytest.mark.slow
def test_a_base_is_trained_on_it_and_fine_tuned(tmp_path, prepared, tiny_config_file):
    """Tokenizer, plain text, base; then the chat format on top of the base's vocabulary."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from chat.template import extends_vocabulary, has_chat_format
    from data_scripts.arguments import PrepareArguments
    from data_scripts.prepare import prepare
    from training.arguments import TrainArguments
    from training.train import train

    corpus = f"jsonl={prepared / 'dialogues' / 'train.jsonl'}"
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    plain = PrepareArguments(
        corpora=[corpus], plain_text=True, train_tokenizer_vocab_size=400, output=str(tmp_path / "plain")
    )
    chat = PrepareArguments(corpora=[corpus], tokenizer=str(base), output=str(tmp_path / "chat"))
    for arguments, start, final in ((plain, tiny_config_file, base), (chat, base, tuned)):
        prepare(arguments)
        train(
            TrainArguments(
                data=arguments.output,
                base=str(start),
                final_model_dir=str(final),
                output_dir=f"{final}-run",
                max_steps=2,
                eval_every_steps=2,
                batching="packed",
            )
        )
    tokenizers = [AutoTokenizer.from_pretrained(folder) for folder in (base, tuned)]
    assert [has_chat_format(each) for each in tokenizers] == [False, True]
    assert extends_vocabulary(tokenizers[1], tokenizers[0])
    sizes = [AutoModelForCausalLM.from_pretrained(folder).config.vocab_size for folder in (base, tuned)]
    assert sizes == [len(each) for each in tokenizers] and sizes[1] == sizes[0] + 4
