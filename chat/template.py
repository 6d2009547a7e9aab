"""The one prompt format: special tokens, chat template, encoding, and which turns a prompt keeps.

A message is its role token, its text, and the end-of-turn token:

    <|persona|>I have two cats.<|endoftext|><|user|>Hi!<|endoftext|><|assistant|>Hello!<|endoftext|>

`chat_template.jinja` says the same for clients that are not ours, and a test holds the two together. A user
cannot forge a turn: texts are encoded with special tokens taken as ordinary characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chat.dialogue import ASSISTANT, SYSTEM, USER

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROLE_TOKENS = {SYSTEM: "<|persona|>", USER: "<|user|>", ASSISTANT: "<|assistant|>"}
PAD_TOKEN = "<|pad|>"
MAX_PROMPT_TOKENS = 700
PROBE = ({"role": USER, "content": "quickly, \u00e9t\u00e9!"}, {"role": ASSISTANT, "content": "Hi"})

Messages = Sequence[Mapping[str, Any]]


@cache
def chat_template() -> str:
    """The Jinja text that is saved with every tokenizer."""
    return (Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8").strip()


def add_chat_format(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Gives a base tokenizer our role tokens, a padding token of its own, and the chat template; returns it.

    Raises:
        ValueError: the tokenizer has no end-of-text token to end a turn with, or reads a text behind a token
            in another way than the text alone.
    """
    if tokenizer.eos_token is None:
        raise ValueError("has no end-of-text token (eos_token) to end a turn with")
    tokenizer.add_special_tokens({"pad_token": PAD_TOKEN, "extra_special_tokens": list(ROLE_TOKENS.values())})
    # Where `generate` goes on, a batch of prompts must end. Saved is what stands among the `init_kwargs`.
    tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = "left"
    # Llama's puts a space before the first word of a text, and none before a word behind a token.
    for before_text in ("", "(' ' if text else '') ~ "):
        tokenizer.chat_template = chat_template().replace(
            "text ~ eos_token", f"{before_text}text ~ eos_token"
        )
        ids = [id_ for piece in encode_messages(tokenizer, PROBE) for id_ in piece.ids]
        if tokenizer.apply_chat_template(PROBE, return_dict=False) == ids:
            return tokenizer
    raise ValueError("reads a text behind a role token in another way than the text alone")


def has_chat_format(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether it has all tokens of the format, among them the one that ends a turn."""
    vocabulary = tokenizer.get_vocab()
    return all(token in vocabulary for token in (*ROLE_TOKENS.values(), PAD_TOKEN, tokenizer.eos_token))


def extends_vocabulary(tokenizer: PreTrainedTokenizerBase, base: PreTrainedTokenizerBase) -> bool:
    """Whether every token of `base` has the same id in `tokenizer`."""
    ids = tokenizer.get_vocab()
    return all(ids.get(token) == id_ for token, id_ in base.get_vocab().items())


def padding_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that fills rows, where it is masked: of padding, else of the end of text, else any."""
    return next(id_ for id_ in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if id_ is not None)


def control_token_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids of the tokens that a reply may never contain: role tokens and padding."""
    return tokenizer.convert_tokens_to_ids([*ROLE_TOKENS.values(), PAD_TOKEN])


def content_text(content: Any) -> str:
    """The text of a message's content: a string, or parts as OpenAI-style clients and Gradio send them."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, Iterable):
        return ""
    parts = (
        part if isinstance(part, str) else part.get("text")
        for part in content
        if isinstance(part, str | Mapping)
    )
    return "".join(part for part in parts if isinstance(part, str))


def without_halves(text: str) -> str:
    """With a question mark for what UTF-8 has no bytes for, such as half of an emoji."""
    return text.encode("utf-8", "replace").decode("utf-8")


def encode_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Ids of plain texts, in which the spelling of a special token is ordinary characters.

    A text that occurs again, as every text does in a dialogue that is seen from both sides, shares its ids.
    """
    if not texts:
        return []
    stripped = [without_halves(text).strip() for text in texts]
    different = list(dict.fromkeys(stripped))
    encoded = tokenizer(
        different,
        add_special_tokens=False,
        split_special_tokens=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )["input_ids"]
    ids_of = dict(zip(different, encoded, strict=True))
    return [ids_of[text] for text in stripped]


@dataclass(frozen=True)
class Piece:
    """An encoded message: `ids` is role token, text, end of turn."""

    role: str
    ids: tuple[int, ...]

    def cut(self, max_tokens: int) -> Piece:
        """At most `max_tokens` ids, at least the role token and one more.

        An assistant's text loses its end, and with it the end of turn, which would be a lie; a user's loses
        its beginning; a persona loses its end.
        """
        if len(self.ids) <= max_tokens:
            return self
        keep = max(max_tokens, 2)
        if self.role == ASSISTANT:
            return Piece(self.role, self.ids[:keep])
        if self.role == SYSTEM:
            return Piece(self.role, self.ids[: keep - 1] + self.ids[-1:])
        return Piece(self.role, self.ids[:1] + self.ids[len(self.ids) - keep + 1 :])


def encode_messages(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> list[Piece]:
    """One piece per message; a system message without text has none.

    Raises:
        ValueError: a role that the format does not have, or a system message that is not the first.
    """
    for index, message in enumerate(messages):
        if message["role"] not in ROLE_TOKENS:
            raise ValueError(f"role must be system, user or assistant, not {message['role']}")
        if message["role"] == SYSTEM and index:
            raise ValueError("only the first message may have the role system")
    pieces = pieces_of(tokenizer, messages)
    return [piece for piece in pieces if piece.role != SYSTEM or len(piece.ids) > 2]


def pieces_of(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> list[Piece]:
    """One piece per message."""
    texts = encode_texts(tokenizer, [content_text(message["content"]) for message in messages])
    role_ids = {role: tokenizer.convert_tokens_to_ids(token) for role, token in ROLE_TOKENS.items()}
    end_of_turn = tokenizer.eos_token_id
    return [
        Piece(message["role"], (role_ids[message["role"]], *ids, end_of_turn))
        for message, ids in zip(messages, texts, strict=True)
    ]


def divide_persona(pieces: Sequence[Piece], max_tokens: int) -> tuple[list[int], Sequence[Piece], int]:
    """The persona's ids (at most half of `max_tokens`), the turns, and the tokens left for them."""
    if not pieces or pieces[0].role != SYSTEM:
        return [], pieces, max_tokens
    persona = list(pieces[0].cut(max_tokens // 2).ids)
    return persona, pieces[1:], max_tokens - len(persona)


def start_of_last(turns: Sequence[Piece], end: int, max_tokens: int) -> int:
    """Index of the first turn of the longest run of whole turns that ends before `end` and fits."""
    start, used = end, 0
    while start > 0 and used + len(turns[start - 1].ids) <= max_tokens:
        start -= 1
        used += len(turns[start].ids)
    return start


def encode_prompt(
    tokenizer: PreTrainedTokenizerBase, messages: Messages, max_prompt_tokens: int = MAX_PROMPT_TOKENS
) -> list[int]:
    """Ids from which the next reply is generated: at most `max_prompt_tokens`, with its role token.

    Older turns go first (see `first_kept_turn`); the persona always stays. Where the last message alone is
    too long, its end is kept.
    """
    persona, turns, budget = divide_persona(encode_messages(tokenizer, messages), max_prompt_tokens)
    budget -= 1
    kept = turns[first_kept_turn(turns, budget) :]
    if len(kept) == 1:
        kept = [kept[0].cut(budget)]
    ids = [id_ for piece in kept for id_ in piece.ids]
    return [*persona, *ids, tokenizer.convert_tokens_to_ids(ROLE_TOKENS[ASSISTANT])]


def first_kept_turn(turns: Sequence[Piece], max_tokens: int) -> int:
    """Index of the first turn that a prompt of at most `max_tokens` keeps; it always keeps the last.

    A turn that no longer fits sends turns away until half of the room is left, as in training sequences. So
    from one reply to the next the prompt mostly just grows, and what was computed for it can be used again.
    """
    start = used = 0
    for end, turn in enumerate(turns, 1):
        used += len(turn.ids)
        if used > max_tokens:
            start = start_of_last(turns, end, max(max_tokens // 2, len(turn.ids)))
            used = sum(len(each.ids) for each in turns[start:end])
    return start


def fit_positions(positions: int, max_new_tokens: int) -> tuple[int, int]:
    """Prompt and reply lengths, in tokens, that a model of `positions` can hold together.

    A reply takes at most half of the positions, so that small models keep room for the conversation.
    """
    new_tokens = max(1, min(max_new_tokens, positions // 2))
    return max(1, min(MAX_PROMPT_TOKENS, positions - new_tokens)), new_tokens
