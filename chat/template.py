"""The one prompt format: special tokens, chat template, encoding and truncation.

A message is its role token, its text, and the end-of-turn token:

    <|persona|>I have two cats.<|endoftext|><|user|>Hi!<|endoftext|><|assistant|>Hello!<|endoftext|>

`chat_template.jinja` says the same for clients that are not ours, and a test holds the two together. A user
cannot forge a turn: texts are encoded with special tokens taken as ordinary characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chat.dialogue import ASSISTANT, SYSTEM, USER, Dialogue, Turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROLE_TOKENS = {SYSTEM: "<|persona|>", USER: "<|user|>", ASSISTANT: "<|assistant|>"}
PAD_TOKEN = "<|pad|>"
IGNORED_LABEL = -100
MAX_PROMPT_TOKENS = 700
MAX_SEQUENCE_TOKENS = 256

Messages = Sequence[Mapping[str, Any]]


@lru_cache(maxsize=1)
def chat_template() -> str:
    """The Jinja text that is saved with every tokenizer."""
    return (Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8").strip()


def add_chat_format(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Gives a base tokenizer our role tokens, a padding token of its own, and the chat template; returns it.

    Raises:
        ValueError: the tokenizer has no end-of-text token to end a turn with.
    """
    if tokenizer.eos_token is None:
        raise ValueError("the tokenizer has no end-of-text token (eos_token) to end a turn with")
    tokenizer.add_special_tokens({"pad_token": PAD_TOKEN, "extra_special_tokens": list(ROLE_TOKENS.values())})
    tokenizer.chat_template = chat_template()
    return tokenizer


def has_chat_format(tokenizer: PreTrainedTokenizerBase) -> bool:
    vocabulary = tokenizer.get_vocab()
    return all(token in vocabulary for token in (*ROLE_TOKENS.values(), PAD_TOKEN))


def extends_vocabulary(tokenizer: PreTrainedTokenizerBase, base: PreTrainedTokenizerBase) -> bool:
    """Whether every token of `base` has the same id in `tokenizer`."""
    ids = tokenizer.get_vocab()
    return all(ids.get(token) == id_ for token, id_ in base.get_vocab().items())


def padding_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that fills rows, masked: the end's where a base has no padding token, any where it has none."""
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


def encode_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Ids of plain texts, in which the spelling of a special token is ordinary characters.

    What UTF-8 has no bytes for, as half of an emoji, becomes a question mark.
    A text that occurs again, as every text does in a dialogue that is seen from both sides, shares its ids.
    """
    if not texts:
        return []
    stripped = [text.encode("utf-8", "replace").decode("utf-8").strip() for text in texts]
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
    return _said(_pieces(tokenizer, messages))


def _said(pieces: Iterable[Piece]) -> list[Piece]:
    """Without a persona that says nothing."""
    return [piece for piece in pieces if piece.role != SYSTEM or len(piece.ids) > 2]


def _pieces(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> list[Piece]:
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


def _start_of_last(turns: Sequence[Piece], end: int, max_tokens: int) -> int:
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
            start = _start_of_last(turns, end, max(max_tokens // 2, len(turn.ids)))
            used = sum(len(each.ids) for each in turns[start:end])
    return start


def fit_positions(positions: int, max_prompt_tokens: int, max_new_tokens: int) -> tuple[int, int]:
    """Prompt and reply lengths, in tokens, that a model of `positions` can hold together.

    A reply takes at most half of the positions, so that small models keep room for the conversation.
    """
    new_tokens = max(1, min(max_new_tokens, positions // 2))
    return max(1, min(max_prompt_tokens, positions - new_tokens)), new_tokens


@dataclass(frozen=True)
class TrainingSequence:
    """Model input with labels: `IGNORED_LABEL` but on the assistant's replies and their end of turn."""

    input_ids: list[int]
    labels: list[int]
    replies: int
    replies_cut: int


def encode_dialogues(
    tokenizer: PreTrainedTokenizerBase,
    dialogues: Sequence[Dialogue],
    max_length: int = MAX_SEQUENCE_TOKENS,
    history_turns: int | None = None,
) -> list[list[TrainingSequence]]:
    """Dialogues, each seen from one side, as training sequences of at most `max_length` tokens.

    Every assistant turn that answers a user is supervised exactly once; an opening that answers nobody is
    context. A dialogue that fits is one sequence. A longer one goes on in further sequences, each with the
    persona and up to half of the room in earlier turns as unsupervised context. With `history_turns` each
    reply gives a sequence of its own with that many turns before it. A turn longer than half of the room is
    cut (see `Piece.cut`); what comes after a sequence's last reply is left out, since nothing is learnt from
    it.
    """
    messages = [dialogue.messages() for dialogue in dialogues]
    pieces = iter(_pieces(tokenizer, [message for each in messages for message in each]))
    return [_sequences(_said(islice(pieces, len(each))), max_length, history_turns) for each in messages]


def _sequences(pieces: Sequence[Piece], max_length: int, history_turns: int | None) -> list[TrainingSequence]:
    persona, turns, room = divide_persona(pieces, max_length)
    whole = [len(turn.ids) for turn in turns]
    turns = [turn.cut(room // 2) for turn in turns]
    marks = is_reply(turns)
    sequences = []
    for start, first, end in segments(turns, marks, room, history_turns):
        replies = [index for index in range(first, end) if marks[index]]
        if not replies:
            continue
        input_ids, labels = list(persona), [IGNORED_LABEL] * len(persona)
        for index in range(start, replies[-1] + 1):
            ids = list(turns[index].ids)
            input_ids += ids
            labels += [IGNORED_LABEL, *ids[1:]] if index in replies else [IGNORED_LABEL] * len(ids)
        cut = sum(len(turns[index].ids) < whole[index] for index in replies)
        sequences.append(TrainingSequence(input_ids, labels, len(replies), cut))
    return sequences


def is_reply(turns: Sequence[Piece | Turn]) -> list[bool]:
    """Per turn, whether it is the assistant's and answers a user; an opening answers nobody."""
    first_user = next((index for index, turn in enumerate(turns) if turn.role == USER), len(turns))
    return [turn.role == ASSISTANT and index > first_user for index, turn in enumerate(turns)]


def segments(
    turns: Sequence[Piece], marks: Sequence[bool], room: int, history_turns: int | None = None
) -> list[tuple[int, int, int]]:
    """How a dialogue becomes sequences of at most `room` tokens, in which every reply is scored once.

    Args:
        turns: none longer than `room`.
        marks: per turn, whether it is a reply.
        history_turns: as in `encode_dialogues`.

    Returns:
        Per sequence (start, first, end): it holds the turns from `start` to `end`, of which those before
        `first` are context that an earlier sequence has scored.
    """
    if history_turns is not None:
        return [
            (
                max(index - history_turns, _start_of_last(turns, index, room - len(turns[index].ids))),
                index,
                index + 1,
            )
            for index in range(len(turns))
            if marks[index]
        ]
    found, first = [], 0
    while first < len(turns):
        start = _start_of_last(turns, first, min(room // 2, room - len(turns[first].ids)))
        used = sum(len(turn.ids) for turn in turns[start:first])
        end = first
        while end < len(turns) and used + len(turns[end].ids) <= room:
            used += len(turns[end].ids)
            end += 1
        found.append((start, first, end))
        first = end
    return found
