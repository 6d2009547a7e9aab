"""A byte-level BPE tokenizer of our own, in GPT-2's class, for models trained from scratch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import GPT2Tokenizer

END_OF_TEXT = "<|endoftext|>"
GPT2_POSITIONS = 1024


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> GPT2Tokenizer:
    """Learns merges from `texts` (Sennrich et al., 2016, on bytes as in GPT-2).

    Args:
        vocab_size: tokens in all, among them the 256 bytes and the end-of-text token.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Tokenizer

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    learnt = json.loads(bpe.to_str())["model"]
    merges = [tuple(merge) for merge in learnt["merges"]]
    return GPT2Tokenizer(vocab=learnt["vocab"], merges=merges, model_max_length=GPT2_POSITIONS)
