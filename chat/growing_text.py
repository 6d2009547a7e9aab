"""A reply's text as it grows, from its tokens as they are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from chat.reply_checks import whole_sentences

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def growing_text(tokenizer: PreTrainedTokenizerBase, draws: Iterator[list[int]]) -> Iterator[str]:
    """The text of the ids so far, in whole characters and, except at the end, whole words.

    A reply that was cut at the longest length ends with its last whole sentence.
    """
    from tokenizers.decoders import DecodeStream

    decoder = DecodeStream(skip_special_tokens=True)
    text, shown, last = "", "", None
    for ids in draws:
        for last in ids:
            text += decoder.step(tokenizer.backend_tokenizer, last) or ""
        words = text[: text.rfind(" ") + 1].strip()
        if words != shown:
            yield (shown := words)
    text = text.strip()
    yield text if last == tokenizer.eos_token_id else whole_sentences(text)
