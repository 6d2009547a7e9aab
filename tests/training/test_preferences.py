"""Files of marked replies, and what training takes of them."""

import json

import pytest

from chat.cli import UserError
from chat.template import encode_prompt, encode_texts
from training.preferences import encode_marks, hold_out, like_lengths_together, read_marks


def marks_file(tmp_path, *records):
    path = tmp_path / "marks.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


def record(*said, persona=("I have two cats.",), good=("Two cats.",), bad=("No.",)):
    roles = ("user", "assistant")
    turns = [{"role": roles[index % 2], "text": text} for index, text in enumerate(said)]
    return {"persona": list(persona), "turns": turns, "good": list(good), "bad": list(bad)}


def test_places_with_both_kinds_are_encoded_as_the_chat_encodes_them(tmp_path, tokenizer):
    places = [
        record("Any pets?", good=["Two cats.", " Cats. "], bad=["No."]),
        record("Hi!", "Hello!", "How are you?", persona=[], good=["Fine."], bad=[]),
    ]

    [place] = encode_marks(read_marks(marks_file(tmp_path, *places)), tokenizer, positions=256)

    messages = [{"role": "system", "content": "I have two cats."}, {"role": "user", "content": "Any pets?"}]
    assert place["prompt_ids"] == encode_prompt(tokenizer, messages)
    texts = encode_texts(tokenizer, ["Two cats.", "Cats.", "No."])
    assert place["replies"] == [[*ids, tokenizer.eos_token_id] for ids in texts]
    assert place["good"] == [True, True, False]


def test_a_line_may_hold_separators_of_other_kinds(tmp_path):
    path = tmp_path / "marks.jsonl"
    path.write_text(json.dumps(record("Hi\u2028there!"), ensure_ascii=False) + "\n", encoding="utf-8")

    [marks] = read_marks(path)

    assert marks.conversation.turns[0].text == "Hi\u2028there!"


def test_the_mark_that_windows_puts_before_a_text_is_passed_over(tmp_path):
    path = tmp_path / "marks.jsonl"
    path.write_text(json.dumps(record("Hi!")) + "\n", encoding="utf-8-sig")
    assert read_marks(path)[0].conversation.turns[0].text == "Hi!"


def test_a_long_conversation_loses_its_oldest_turns(tmp_path, tokenizer):
    said = [f"{word} " * 30 for word in ("one", "two", "three")]

    [place] = encode_marks(read_marks(marks_file(tmp_path, record(*said))), tokenizer, positions=100)

    text = tokenizer.decode(place["prompt_ids"])
    assert len(place["prompt_ids"]) + max(map(len, place["replies"])) <= 100
    assert "I have two cats." in text and "three" in text and "one" not in text


def test_the_longest_reply_has_room_of_whichever_kind_it_is(tmp_path, tokenizer):
    long = record(*["word " * 60] * 3, good=["Yes."], bad=["No.", "no " * 40])

    [place] = encode_marks(read_marks(marks_file(tmp_path, long)), tokenizer, positions=100)

    assert 40 < len(place["prompt_ids"]) + max(map(len, place["replies"])) <= 100


def test_batches_are_of_like_lengths_and_in_no_order():
    places = [{"prompt_ids": [0] * length} for length in range(1, 43)]

    ordered = like_lengths_together(places[::-1], batch_size=4, seed=0)

    lengths = [len(place["prompt_ids"]) for place in ordered]
    batches = [lengths[start : start + 4] for start in range(0, 42, 4)]
    assert sorted(lengths) == list(range(1, 43))
    assert all(batch[-1] - batch[0] == len(batch) - 1 for batch in batches)
    assert batches != sorted(batches) and batches[-1] == [41, 42]


def test_a_conversation_is_held_out_whole(tmp_path):
    records = [
        each
        for number in range(20)
        for each in (record(f"Hi {number}!"), record(f"Hi {number}!", "Hello!", "And you?"))
    ]

    marks = read_marks(marks_file(tmp_path, *records))
    learnt, held_out = hold_out(marks, share=0.25, seed=0)

    def openings(side):
        return {each.conversation.turns[0].text for each in side}

    assert (len(learnt), len(held_out)) == (30, 10)
    assert not openings(learnt) & openings(held_out)
    assert hold_out(learnt, share=0, seed=0) == (learnt, [])
    others = hold_out(marks, share=0.25, seed=1)[1]
    assert others == hold_out(marks, share=0.25, seed=1)[1] != held_out


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2 is not marks"),
        ('{"good": ["a"]}', "missing 'turns'"),
        (json.dumps(record("Hi!", "Hello!")), "last the user's"),
        (json.dumps(record("Hi!") | {"good": "Hello!"}), "`good` must be a list"),
        (json.dumps(record("Hi!") | {"persona": [1]}), "line 2 is not marks"),
    ],
)
def test_a_line_that_is_not_marks_is_named(tmp_path, line, reason):
    path = tmp_path / "marks.jsonl"
    path.write_text(json.dumps(record("Hi!")) + "\n" + line + "\n")

    with pytest.raises(UserError, match=reason) as error:
        read_marks(path)

    assert f"--marks {path}: line 2" in str(error.value)


def test_files_without_a_pair_or_that_cannot_be_read_are_errors(tmp_path):
    with pytest.raises(UserError, match=r"--marks .*nowhere: cannot be read \(No such file"):
        read_marks(tmp_path / "nowhere")
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        read_marks(tmp_path / "latin")
    with pytest.raises(UserError, match="both a good and a bad reply"):
        read_marks(marks_file(tmp_path, record("Hi!", good=[]), record("Hello!", bad=[])))
