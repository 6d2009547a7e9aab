"""Dialogues as training sequences: every reply is learnt once, and what is long is divided or cut."""

import pytest

from chat.dialogue import ASSISTANT, USER, Turn
from chat.sequences import IGNORED_LABEL, encode_dialogues, segments
from chat.template import Piece, encode_messages
from tests.chat.test_template import PERSONA, dialogue, long_dialogue


@pytest.mark.parametrize("turns", range(30, 42))
def test_a_long_dialogue_supervises_every_reply_once_wherever_it_ends(tokenizer, turns):
    long = long_dialogue(turns)
    [sequences] = encode_dialogues(tokenizer, [long], max_length=128)
    assert len(sequences) > 1 and all(len(sequence.input_ids) <= 128 for sequence in sequences)
    assert sum(sequence.replies for sequence in sequences) == turns // 2
    assert not any(sequence.replies_cut for sequence in sequences)
    learnt = [
        tokenizer.decode([label for label in sequence.labels if label != IGNORED_LABEL])
        for sequence in sequences
    ]
    replies = [turn.text for turn in long.turns if turn.role == ASSISTANT]
    assert "".join(learnt) == "".join(f"{reply}<|endoftext|>" for reply in replies)
    assert all(tokenizer.decode(sequence.input_ids).startswith("<|persona|>") for sequence in sequences)


def test_what_goes_before_a_further_sequence_takes_at_most_half_of_its_room():
    turns = [Piece((USER, ASSISTANT)[index % 2], (index,) * 4) for index in range(12)]
    assert segments(turns, room=20) == [(0, 0, 5), (3, 5, 8), (6, 8, 11), (9, 11, 12)]
    long = Piece(USER, (12,) * 14)
    assert segments([*turns[:6], long], room=20) == [(0, 0, 5), (3, 5, 6), (5, 6, 7)]


def test_a_persona_that_says_nothing_moves_no_other_dialogue(tokenizer):
    found = [dialogue(persona) for persona in (PERSONA, (" ",), PERSONA, ())]
    silent = dialogue((" ",)), dialogue(())
    together = encode_dialogues(tokenizer, found)
    assert together == [encode_dialogues(tokenizer, [each])[0] for each in found]
    assert (
        together[0] == together[2] != together[1] == together[3]
        and silent[0].messages() == silent[1].messages()
    )


def test_windowed_pairs_have_the_turns_asked_for(tokenizer):
    [sequences] = encode_dialogues(tokenizer, [long_dialogue(8)], history_turns=3)
    texts = [tokenizer.decode(sequence.input_ids) for sequence in sequences]
    assert [text.count("<|user|>") + text.count("<|assistant|>") for text in texts] == [2, 4, 4, 4]
    assert all(sequence.replies == 1 for sequence in sequences)
    [short] = encode_dialogues(tokenizer, [long_dialogue(8)], max_length=64, history_turns=3)
    assert [sequence.replies for sequence in short] == [1, 1, 1, 1]
    assert max(len(sequence.input_ids) for sequence in sequences) > 64
    assert all(len(sequence.input_ids) <= 64 for sequence in short)


def test_a_cut_reply_has_no_end_of_turn_and_is_counted(tokenizer):
    turns = (Turn(USER, "Tell me."), Turn(ASSISTANT, "Once upon a time " * 100))
    [[sequence]] = encode_dialogues(tokenizer, [dialogue(turns=turns)], max_length=64)
    assert sequence.replies_cut == 1 and sequence.labels[-1] != tokenizer.eos_token_id
    assert len(sequence.input_ids) <= 64
    [alone] = encode_messages(tokenizer, dialogue().messages()[:1])
    learnt = [label for label in sequence.labels if label != IGNORED_LABEL]
    assert len(learnt) == (64 - len(alone.ids)) // 2 - 1
