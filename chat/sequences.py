"""Dialogues as training sequences: which tokens have labels, and where a long dialogue is divided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from chat.dialogue import ASSISTANT, USER, Dialogue, Turn
from chat.template import Piece, divide_persona, pieces_of, start_of_last

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED_LABEL = -100
MAX_SEQUENCE_TOKENS = 256


@dataclass(frozen=True)
class TrainingSequence:
    """Model input with labels: `IGNORED_LABEL` except on the assistant's replies and their end of turn."""

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
    pieces = iter(pieces_of(tokenizer, [message for each in messages for message in each]))
    return [_sequences([*islice(pieces, len(each))], max_length, history_turns) for each in messages]


def _sequences(pieces: Sequence[Piece], max_length: int, history_turns: int | None) -> list[TrainingSequence]:
    persona, turns, room = divide_persona(pieces, max_length)
    whole = [len(turn.ids) for turn in turns]
    turns = [turn.cut(room // 2) for turn in turns]
    marks = is_reply(turns)
    sequences = []
    for start, first, end in segments(turns, room, history_turns):
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
    turns: Sequence[Piece], room: int, history_turns: int | None = None
) -> list[tuple[int, int, int]]:
    """How a dialogue becomes sequences of at most `room` tokens, in which every turn is scored once.

    Args:
        turns: none longer than `room`.
        history_turns: as in `encode_dialogues`.

    Returns:
        Per sequence (start, first, end): it holds the turns from `start` to `end`, of which those before
        `first` are context that an earlier sequence has scored.
    """
    if history_turns is not None:
        return [
            (
                max(index - history_turns, start_of_last(turns, index, room - len(turns[index].ids))),
                index,
                index + 1,
            )
            for index in range(len(turns))
        ]
    found, first = [], 0
    while first < len(turns):
        start = start_of_last(turns, first, min(room // 2, room - len(turns[first].ids)))
        used = sum(len(turn.ids) for turn in turns[start:first])
        end = first
        while end < len(turns) and used + len(turns[end].ids) <= room:
            used += len(turns[end].ids)
            end += 1
        found.append((start, first, end))
        first = end
    return found
