"""How a scored model sees a dialogue: in our template, or as plain text for a base that never saw it.

Both give sequences of ids with the spans of the replies. The ids of a reply's text are the same in both, and
they alone are scored: no role token, no label, no end of turn, no padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chat.dialogue import ASSISTANT, SYSTEM, USER, Dialogue
from chat.reply_checks import whole_sentences
from chat.sequences import is_reply, segments
from chat.template import ROLE_TOKENS, Piece, divide_persona, encode_texts, first_kept_turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LABELS = {USER: "A", ASSISTANT: "B"}


@dataclass(frozen=True)
class ScoredSequence:
    """Model input, and where in it each reply's text stands: (turn index, start, end)."""

    input_ids: list[int]
    spans: list[tuple[int, int, int]]


class TemplateFormat:
    """Our prompt format."""

    name = "template"

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        self.start_ids: list[int] = []

    def frame(self, role: str) -> tuple[list[int], list[int]]:
        """Ids before and after a text of this role."""
        return self.tokenizer.convert_tokens_to_ids([ROLE_TOKENS[role]]), [self.tokenizer.eos_token_id]

    def reply_text(self, generated_ids: list[int]) -> str:
        """As the chat gives it: one that was cut at the longest length ends with its last whole sentence."""
        text = self.tokenizer.decode(generated_ids, skip_special_tokens=True).strip()
        return text if self.has_ended(generated_ids) else _until_last_end(text)

    def has_ended(self, generated_ids: list[int]) -> bool:
        """Whether no more of them can be the reply's."""
        return self.tokenizer.eos_token_id in generated_ids

    def reply_length(self, generated_ids: list[int]) -> int:
        """How many of the tokens are the reply's, its end among them."""
        return len(generated_ids)


class PlainFormat:
    """A transcript as a plain language model may have seen it, each label on a line of its own:

    About B: I have two cats.
    A:
    Hi!
    B:
    Hello!
    """

    name = "plain text"

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        self.start_ids = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]

    def frame(self, role: str) -> tuple[list[int], list[int]]:
        """Ids before and after a text of this role."""
        label = f"About {LABELS[ASSISTANT]}: " if role == SYSTEM else f"{LABELS[role]}:\n"
        encoded = self.tokenizer([label, "\n"], add_special_tokens=False)["input_ids"]
        return encoded[0], encoded[1]

    def reply_text(self, generated_ids: list[int]) -> str:
        """A base writes on for both speakers: its reply is what stands before the next line.

        One that was cut at the longest length ends with its last whole sentence, as in the chat.
        """
        text = self.tokenizer.decode(generated_ids, skip_special_tokens=True)
        line, *further = text.lstrip().split("\n")
        has_ended = further or self.tokenizer.eos_token_id in generated_ids
        return line.strip() if has_ended else _until_last_end(line.strip())

    def has_ended(self, generated_ids: list[int]) -> bool:
        """Whether no more of them can be the reply's: after the line's end."""
        return "\n" in self.tokenizer.decode(generated_ids).lstrip()

    def reply_length(self, generated_ids: list[int]) -> int:
        """How many of the tokens are the reply's, its end among them: up to the line's end."""
        for length in range(1, len(generated_ids)):
            if self.has_ended(generated_ids[:length]):
                return length
        return len(generated_ids)


def _until_last_end(text: str) -> str:
    """Without the last sentence, and the last character, where generation cut it off."""
    return whole_sentences(text.rstrip("\ufffd"))


Format = TemplateFormat | PlainFormat


def _pieces(
    dialogue: Dialogue, format_: Format, max_text_tokens: int | None = None
) -> tuple[list[Piece], list[tuple[int, int]]]:
    """The dialogue's messages as pieces, and per piece how many ids stand before and after its text."""
    messages = dialogue.messages()
    texts = encode_texts(format_.tokenizer, [message["content"] for message in messages])
    pieces, frames = [], []
    for message, text in zip(messages, texts, strict=True):
        before, after = format_.frame(message["role"])
        pieces.append(Piece(message["role"], (*before, *text[:max_text_tokens], *after)))
        frames.append((len(before), len(after)))
    return pieces, frames


def scored_sequences(
    dialogue: Dialogue, format_: Format, max_length: int, max_text_tokens: int
) -> list[ScoredSequence]:
    """The dialogue as sequences in which every reply is scored once, with all that fits before it.

    Args:
        max_length: the model's positions.
        max_text_tokens: texts are cut to this, the same for all models that are compared.
    """
    pieces, frames = _pieces(dialogue, format_, max_text_tokens)
    persona, turns, room = divide_persona(pieces, max_length - len(format_.start_ids))
    frames = frames[len(frames) - len(turns) :]
    replies = is_reply(turns)
    sequences = []
    for start, first, end in segments(turns, room):
        input_ids, spans = [*format_.start_ids, *persona], []
        for index in range(start, end):
            before, after = frames[index]
            text_start = len(input_ids) + before
            input_ids += turns[index].ids
            if index >= first and replies[index] and text_start < len(input_ids) - after:
                spans.append((index, text_start, len(input_ids) - after))
        if spans:
            sequences.append(ScoredSequence(input_ids, spans))
    return sequences


def prompt_ids(dialogue: Dialogue, reply_index: int, format_: Format, max_prompt_tokens: int) -> list[int]:
    """What stands before the reply at `reply_index`, up to and with the assistant's role token or label.

    Older turns go first, as in the chat; the persona stays. Of a last turn that is too long the end is kept.
    """
    before = Dialogue(dialogue.source, dialogue.turns[:reply_index], dialogue.persona)
    pieces, frames = _pieces(before, format_)
    persona, turns, room = divide_persona(pieces, max_prompt_tokens - len(format_.start_ids))
    label, _ = format_.frame(ASSISTANT)
    room -= len(label)
    kept = turns[first_kept_turn(turns, room) :]
    if len(kept) == 1 and (excess := len(kept[0].ids) - room) > 0:
        label_end = frames[-1][0]
        kept = [Piece(kept[0].role, kept[0].ids[:label_end] + kept[0].ids[label_end + excess :])]
    return [*format_.start_ids, *persona, *(id_ for piece in kept for id_ in piece.ids), *label]
