"""The tokenised dataset: what is in it, that its statistics are true, that it is whole or absent."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from chat import jsonl
from chat.cli import UserError
from chat.dialogue import Dialogue, Turn
from chat.sequences import IGNORED_LABEL, is_reply
from chat.template import has_chat_format
from data_scripts import encode
from data_scripts.arguments import PrepareArguments
from data_scripts.corpora import Corpus
from data_scripts.prepare import main, prepare
from tests.conftest import ROOT, SAMPLE_CORPORA
from tests.processes import in_process, python


@pytest.fixture(scope="module")
def options(base_tokenizer_folder) -> PrepareArguments:
    return PrepareArguments(corpora=SAMPLE_CORPORA, tokenizer=str(base_tokenizer_folder))


def saved(folder):
    from datasets import load_from_disk
    from transformers import AutoTokenizer

    return load_from_disk(str(folder)), AutoTokenizer.from_pretrained(folder / "tokenizer")


def replies_of(folder, split, both_sides: str = ""):
    """Every reply of the cleaned dialogues, from every side that is learnt, as the format ends it.

    Args:
        both_sides: a corpus of which the user's side is learnt, too.
    """
    dialogues = jsonl.read(folder / "dialogues" / f"{split}.jsonl")
    views = [view for each in dialogues for view in each.views(each.source == both_sides)]
    return sorted(
        f"{turn.text}<|endoftext|>"
        for view in views
        for turn, mark in zip(view.turns, is_reply(view.turns), strict=True)
        if mark
    )


def labelled_texts(dataset, tokenizer):
    """The supervised runs of every sequence, decoded."""
    texts = []
    for labels in dataset["labels"]:
        run = []
        for label in [*labels, IGNORED_LABEL]:
            if label != IGNORED_LABEL:
                run.append(label)
            elif run:
                texts.append(tokenizer.decode(run))
                run = []
    return sorted(texts)


def test_the_users_side_is_learnt_of_the_corpora_that_are_named_and_of_training_alone(options, tmp_path):
    output = tmp_path / "data"
    prepare(dataclasses.replace(options, output=str(output), both_sides=["personachat"]))
    dataset, tokenizer = saved(output)
    learnt = replies_of(output, "train", both_sides="personachat")
    assert labelled_texts(dataset["train"], tokenizer) == learnt and learnt != replies_of(output, "train")
    assert labelled_texts(dataset["val"], tokenizer) == replies_of(output, "val")


def test_an_unknown_corpus_of_both_sides_is_named():
    with pytest.raises(UserError, match="--both-sides cornel: no such corpus in --corpora; they are cornell"):
        PrepareArguments(both_sides=["cornel"])


@pytest.mark.parametrize("split", ["train", "val"])
def test_loss_is_on_every_reply_once_and_on_nothing_else(prepared, split):
    dataset, tokenizer = saved(prepared)
    assert labelled_texts(dataset[split], tokenizer) == replies_of(prepared, split)


def test_sequences_are_int32_within_the_maximum_with_labels_on_their_ids(prepared):
    dataset, _ = saved(prepared)
    for rows in dataset.values():
        assert rows.features["input_ids"].feature.dtype == rows.features["labels"].feature.dtype == "int32"
        for row in rows:
            assert len(row["input_ids"]) == len(row["labels"]) == row["length"] <= 256
            assert all(
                label in (IGNORED_LABEL, id_)
                for id_, label in zip(row["input_ids"], row["labels"], strict=True)
            )
            assert row["source"] in ("cornell", "personachat")


def test_statistics_count_what_is_there(prepared, base_tokenizer_folder):
    dataset, _ = saved(prepared)
    stats = json.loads((prepared / "stats.json").read_text())
    for split, rows in dataset.items():
        total = stats["total"][split]
        dialogues = list(jsonl.read(prepared / "dialogues" / f"{split}.jsonl"))
        assert total["dialogues"] == len(dialogues)
        assert total["turns"] == sum(len(each.turns) for each in dialogues)
        assert total["sequences"] == len(rows)
        assert total["tokens"] == sum(rows["length"])
        assert total["replies"] == len(replies_of(prepared, split))
        assert total["reply_tokens"] == sum(
            label != IGNORED_LABEL for labels in rows["labels"] for label in labels
        )
        for corpus in ("cornell", "personachat"):
            lengths = [row["length"] for row in rows if row["source"] == corpus]
            figures = stats["corpora"][corpus][split]
            assert figures["sequences"] == len(lengths)
            assert figures["length_percentiles"]["100"] == max(lengths)
    assert stats["options"]["max_length"] == 256 and stats["vocab_size"] == 404
    assert stats["options"]["tokenizer"] == base_tokenizer_folder.name
    assert stats["options"]["corpora"] == ["cornell=movie-corpus", "personachat=persona-chat"]
    assert str(ROOT) not in json.dumps(stats) and str(prepared.parent) not in json.dumps(stats)


def test_windowed_pairs_and_shorter_sequences(tmp_path, options):
    output = tmp_path / "windows"
    short = dataclasses.replace(options, output=str(output), max_length=96, history_turns=2)
    stats = prepare(short)
    dataset, tokenizer = saved(output)
    user, assistant = tokenizer.convert_tokens_to_ids(["<|user|>", "<|assistant|>"])
    for row in dataset["train"]:
        assert row["length"] <= 96
        assert sum(id_ in (user, assistant) for id_ in row["input_ids"]) <= 3
    total = stats["total"]["train"]
    assert total["sequences"] == total["replies"] == len(replies_of(output, "train"))


def test_a_tokenizer_of_its_own_from_the_training_text(tmp_path, options):
    output = tmp_path / "own"
    prepare(
        dataclasses.replace(
            options, output=str(output), train_tokenizer_vocab_size=600, tokenizer="nowhere/x"
        )
    )
    dataset, tokenizer = saved(output)
    assert len(tokenizer) == 604
    assert labelled_texts(dataset["val"], tokenizer) == replies_of(output, "val")


def test_a_tokenizer_for_plain_text_learns_nothing_of_personas(tmp_path):
    turns = [{"role": "user", "text": "Hi there!"}, {"role": "assistant", "text": "Hello there!"}]
    records = [{"turns": turns, "persona": ["Zzzz zzzz."], "split": split} for split in ("train", "val")]
    records[1]["turns"] = [turns[0], {"role": "assistant", "text": "Yes?"}]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    options = PrepareArguments([f"jsonl={tmp_path / 'own.jsonl'}"], train_tokenizer_vocab_size=300)
    for plain_text in (False, True):
        output = tmp_path / str(plain_text)
        prepare(dataclasses.replace(options, output=str(output), plain_text=plain_text))
        tokenizer = saved(output)[1]
        assert any("zz" in token for token in tokenizer.get_vocab()) != plain_text
        assert has_chat_format(tokenizer) != plain_text


def test_a_tokenizer_of_its_own_learns_nothing_of_what_is_held_out(tmp_path):
    turns = [{"role": "user", "text": "Hi there!"}, {"role": "assistant", "text": "Hello there!"}]
    held_out = [turns[0], {"role": "assistant", "text": "Zzzz zzzz."}]
    records = [{"turns": turns, "split": "train"}, {"turns": held_out, "split": "val"}]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    given = {"train_tokenizer_vocab_size": 300, "output": str(tmp_path / "data")}
    prepare(PrepareArguments([f"jsonl={tmp_path / 'own.jsonl'}"], **given))
    assert not any("zz" in token for token in saved(tmp_path / "data")[1].get_vocab())


def test_a_tokenizer_without_an_end_of_text_is_named(tmp_path, options, base_tokenizer_folder):
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    endless = Tokenizer.from_file(str(base_tokenizer_folder / "tokenizer.json"))
    PreTrainedTokenizerFast(tokenizer_object=endless).save_pretrained(tmp_path / "endless")
    wrong = dataclasses.replace(options, output=str(tmp_path / "new"), tokenizer=str(tmp_path / "endless"))
    with pytest.raises(UserError, match=r"--tokenizer .*endless: has no end-of-text token"):
        prepare(wrong)


@pytest.fixture
def rows_of(tmp_path, options):
    """A function: prepares dialogues of one's own; the training rows, and the dialogues of both splits."""

    def build(records: list[dict], name: str, **changes):
        (tmp_path / "own.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        output = tmp_path / name
        given = {"corpora": [f"jsonl={tmp_path / 'own.jsonl'}"], "output": str(output), **changes}
        prepare(dataclasses.replace(options, **given))
        dialogues = {
            split: [*jsonl.read(output / "dialogues" / f"{split}.jsonl")] for split in ("train", "val")
        }
        return saved(output)[0]["train"]["input_ids"][:], dialogues

    return build


def own(count: int, split: str | None = None, **more) -> list[dict]:
    roles = ("user", "assistant")
    return [
        {
            "turns": [{"role": role, "text": f"This is {split} {number}."} for role in roles],
            **({"split": split} if split else {}),
            **more,
        }
        for number in range(count)
    ]


def test_the_seed_decides_what_is_held_out(rows_of):
    first, other = (rows_of(own(40), f"seed {seed}", seed=seed)[1]["val"] for seed in (0, 1))
    assert len(first) == len(other) == 2 and first != other


def test_the_seed_decides_which_share_of_the_sequences_is_trained_on(rows_of):
    records = [*own(20, "train"), *own(2, "val")]
    first, other = (rows_of(records, f"seed {seed}", seed=seed, times=["jsonl=0.5"])[0] for seed in (0, 1))
    assert len(first) == len(other) == 10 and first != other


def test_the_seed_decides_which_details_the_copies_have(rows_of):
    records = [*own(4, "train", persona=["I have a dog."]), *own(2, "val")]
    given = {"swapped_copies": ["jsonl=1"]}
    first, other = (rows_of(records, f"seed {seed}", seed=seed, **given)[1]["train"] for seed in (0, 1))
    assert len(first) == len(other) == 8 and first != other


def test_of_plain_text_two_sides_of_one_conversation_are_one(rows_of, tmp_path):
    [record] = own(1, "train")
    sides = [record | {"persona": [fact]} for fact in ("I sing.", "I ski.")]
    rows, dialogues = rows_of([*sides, *own(1, "val")], "plain", plain_text=True)
    assert len(rows) == len(dialogues["train"]) == 1
    told = saved(tmp_path / "plain")[1].decode(rows[0])
    assert told == "<|endoftext|>This is train 0.\nThis is train 0.<|endoftext|>"


def encoded(corpora, tokenizer, **options):
    given = PrepareArguments([corpus.name for corpus in corpora], max_length=64, **options)
    return encode.encode_corpora(corpora, tokenizer, given)


def test_what_is_cut_or_dropped_is_counted(tokenizer):
    short, long = (
        Dialogue("own", (Turn("user", "Tell me."), Turn("assistant", text)), ("I am old.",))
        for text in ("No.", "Once upon a time. " * 50)
    )
    corpus = Corpus("own", train=[long, short], val=[short], dropped=Counter(duplicates=3))
    counted = encode.statistics([corpus], encoded([corpus], tokenizer))["corpora"]["own"]
    assert [counted[split]["replies_cut"] for split in ("train", "val")] == [1, 0]
    assert counted["dropped"] == {"duplicates": 3}


def test_the_same_options_give_the_same_dataset(prepared, tmp_path, options):
    prepare(dataclasses.replace(options, output=str(tmp_path / "again")))
    first, again = saved(prepared)[0], saved(tmp_path / "again")[0]
    assert all(first[split].to_list() == again[split].to_list() for split in ("train", "val"))


def test_few_dialogues_are_tokenised_without_another_process(tokenizer, monkeypatch):
    monkeypatch.setattr("datasets.arrow_dataset.mp.Pool", None)
    monkeypatch.setattr(encode, "DIALOGUES_PER_PROCESS", 2)
    dialogue = Dialogue("own", (Turn("user", "Hi!"), Turn("assistant", "Hello!")), ("I am old.",))
    found = encoded([Corpus("own", train=[dialogue] * 2)], tokenizer, num_proc=2)
    assert [len(rows) for rows in (*found["train"], *found["val"])] == [2, 0]


def test_of_corpora_with_personas_those_are_learnt_from_both_sides_that_are_named(tokenizer):
    turns = (Turn("user", "Hi!"), Turn("assistant", "Hello!"), Turn("user", "How are you?"))
    dialogue = Dialogue("own", turns, ("I am old.",))
    corpora = [Corpus(name, train=[dialogue]) for name in ("first", "second")]
    found = encoded(corpora, tokenizer, both_sides=["second"])
    assert [len(rows) for rows in found["train"]] == [1, 2]


@pytest.mark.slow
def test_more_processes_give_the_same_dataset(prepared, tmp_path, options, monkeypatch):
    monkeypatch.setattr(encode, "DIALOGUES_PER_PROCESS", 20)
    for num_proc in (1, 2):
        output = tmp_path / str(num_proc)
        stats = prepare(dataclasses.replace(options, output=str(output), num_proc=num_proc))
        assert stats["corpora"] == json.loads((prepared / "stats.json").read_text())["corpora"]
        for split, rows in saved(output)[0].items():
            assert rows.to_list() == saved(prepared)[0][split].to_list()
            name = f"dialogues/{split}.jsonl"
            assert (output / name).read_bytes() == (prepared / name).read_bytes()


def test_two_files_of_ones_own_the_last_without_validation_dialogues(tmp_path, options):
    from data_scripts.publish import render_card

    def own(name: str) -> Path:
        turns = [{"role": "user", "text": f"Hi {name}!"}, {"role": "assistant", "text": "Hello!"}]
        (tmp_path / name).write_text(json.dumps({"turns": turns, "split": "train"}) + "\n")
        return tmp_path / name

    first, second = own("a.jsonl"), own("b.jsonl")
    corpora = [*SAMPLE_CORPORA, f"jsonl={first}", f"jsonl={second}"]
    output = tmp_path / "out"
    prepare(dataclasses.replace(options, output=str(output), corpora=corpora))
    stats = json.loads((output / "stats.json").read_text())
    names = [name for name in stats["corpora"] if name.startswith("jsonl")]
    assert [stats["corpora"][name]["train"]["dialogues"] for name in names] == [1, 1]
    card = render_card(stats, "someone/talk")
    for name, path in zip(names, (first, second), strict=True):
        [row] = [line for line in card.text.splitlines() if f"(`{name}`)" in line]
        assert row.startswith("| own dialogues") and path.name in row


def test_published_text_is_kept_where_asked(tmp_path, options):
    prepare(dataclasses.replace(options, output=str(tmp_path / "raw"), keep_raw_text=True))
    text = (tmp_path / "raw" / "dialogues" / "train.jsonl").read_text()
    assert "yours are the first in the pan !" in text


def test_an_error_writes_nothing_and_a_foreign_folder_is_refused_early(tmp_path, options):
    with pytest.raises(UserError, match="no such file"):
        prepare(dataclasses.replace(options, output=str(tmp_path / "new"), corpora=["cornell=nowhere.zip"]))
    assert not list(tmp_path.iterdir())
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"--output .*already holds something else"):
        prepare(dataclasses.replace(options, output=str(tmp_path), corpora=["cornell=nowhere.zip"]))


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"max_length": 4}, "--max-length 4: too small"),
        ({"num_proc": 0}, "--num-proc 0"),
        ({"history_turns": 0}, "--history-turns 0"),
        ({"val_fraction": 1.0}, "--val-fraction 1.0"),
        ({"train_tokenizer_vocab_size": 10}, "--train-tokenizer-vocab-size 10"),
    ],
)
def test_values_out_of_range_are_named(wrong, problem):
    with pytest.raises(UserError, match=problem):
        PrepareArguments(**wrong)


def test_the_command_reports_an_error_in_one_line():
    result = in_process(main, "--corpora", "personachat=nowhere/at/all", "--tokenizer", "also/not/there")
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith(
        "error: --tokenizer also/not/there: no such file or folder"
    )
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_and_the_next_one_finishes(tmp_path, base_tokenizer_folder):
    """Killed at the moment that its scratch folder appears, when it has begun to write."""
    output = tmp_path / "data"
    flags = ["--corpora", *SAMPLE_CORPORA, "--tokenizer", str(base_tokenizer_folder), "--output", str(output)]
    command = [sys.executable, "-m", "data_scripts.prepare", *flags]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    scratch = tmp_path / ".data.incomplete"
    while not scratch.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert scratch.exists() and not output.exists()
    assert python(*command[1:]).returncode == 0
    assert saved(output)[0]["train"].num_rows and not scratch.exists()
