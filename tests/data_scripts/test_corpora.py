"""What happens to all corpora: filters, split without leaks, duplicates, counts."""

import json
import re
from collections import Counter
from dataclasses import fields

import pytest

from chat.cli import UserError
from data_scripts.arguments import PrepareArguments
from data_scripts.corpora import LOADERS
from tests.conftest import SAMPLE_CORPORA, refused
from tests.data_scripts.conftest import load_corpora


@pytest.fixture
def own_corpus(tmp_path):
    """A function: records to the specification of a JSONL corpus."""

    def build(*records: dict, name: str = "own") -> str:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return f"jsonl={path}"

    return build


def record(*texts: str, **more) -> dict:
    roles = ("user", "assistant")
    turns = [{"role": roles[i % 2], "text": text} for i, text in enumerate(texts)]
    return {"turns": turns, **more}


def many(count: int, **more) -> list[dict]:
    return [record(f"Question {i}?", f"Answer {i}.", **more) for i in range(count)]


def texts(dialogues) -> set[tuple[str, ...]]:
    return {tuple(turn.text for turn in dialogue.turns) for dialogue in dialogues}


def test_a_film_is_never_on_both_sides():
    for seed in range(3):
        cornell, personachat = load_corpora(SAMPLE_CORPORA, val_fraction=0.2, seed=seed)
        train, val = ({each.group for each in split} for split in (cornell.train, cornell.val))
        assert train and val and not train & val and "" not in train | val
        assert len(val) == round(0.2 * len(train | val))
        assert not texts(personachat.train) & texts(personachat.val)


def test_every_dialogue_is_kept_or_counted():
    cornell, personachat = load_corpora(SAMPLE_CORPORA)
    for corpus, total in ((cornell, 84), (personachat, 84)):
        left_out = sum(
            count
            for reason, count in corpus.dropped.items()
            if not {"utterances", "attributions"} & set(reason.split())
        )
        assert len(corpus.train) + len(corpus.val) + left_out == total


@pytest.mark.slow
def test_processes_of_their_own_give_the_same_corpora():
    assert load_corpora(SAMPLE_CORPORA, num_proc=2) == load_corpora(SAMPLE_CORPORA, num_proc=1)


def test_an_error_in_a_process_of_its_own_is_the_same_error():
    with pytest.raises(UserError, match=r"--corpora cornell=nowhere.zip: no such file or folder"):
        load_corpora(["cornell=nowhere.zip", SAMPLE_CORPORA[1]], num_proc=2)


def test_the_split_depends_on_the_seed_alone():
    first, again, other = (load_corpora(SAMPLE_CORPORA, val_fraction=0.3, seed=s) for s in (1, 1, 2))
    assert [c.val for c in first] == [c.val for c in again]
    assert first[0].val != other[0].val


def test_the_split_depends_neither_on_the_order_of_the_file_nor_on_the_process(own_corpus):
    records = [record(f"{i}?", "Yes.", group=f"group {i:02}") for i in range(40)]
    for order in (records, records[::-1]):
        [corpus] = load_corpora([own_corpus(*order)], val_fraction=0.1, seed=0)
        assert sorted(each.group for each in corpus.val) == ["group 02", "group 16", "group 24", "group 26"]


def test_dialogues_without_groups_are_divided_one_by_one(own_corpus):
    [corpus] = load_corpora([own_corpus(*many(40))], val_fraction=0.25)
    assert (len(corpus.train), len(corpus.val)) == (30, 10)


@pytest.mark.parametrize(("dialogues", "share", "held_out"), [(4, 0.05, 1), (10, 0.28, 3), (1, 0.5, 0)])
def test_of_few_dialogues_one_is_held_out_and_of_one_none(own_corpus, dialogues, share, held_out):
    """Of more, as many as come nearest to the share."""
    both = own_corpus(record("A?", "B.", split="train"), record("C?", "D.", split="val"), name="both")
    _, corpus = load_corpora([both, own_corpus(*many(dialogues))], val_fraction=share)
    assert (len(corpus.train), len(corpus.val)) == (dialogues - held_out, held_out)


def test_a_split_of_its_own_is_kept(own_corpus):
    records = [*many(5, split="train"), record("A?", "B.", split="val")]
    [corpus] = load_corpora([own_corpus(*records)], val_fraction=0.9)
    assert len(corpus.train) == 5 and texts(corpus.val) == {("A?", "B.")}


def test_a_group_is_on_one_side_also_where_two_files_have_it(own_corpus):
    files = [
        [record(f"{name} {i}?", "Yes.", group=f"group {i}") for i in range(start, start + 30)]
        for name, start in (("first", 0), ("second", 10))
    ]
    corpora = load_corpora(
        [own_corpus(*each, name=f"file {index}") for index, each in enumerate(files)], val_fraction=0.3
    )
    sides = {
        split: {each.group for corpus in corpora for each in getattr(corpus, split)}
        for split in ("train", "val")
    }
    assert len(sides["train"] | sides["val"]) == 40 and not sides["train"] & sides["val"]
    assert len(sides["val"]) == 12


def test_a_group_of_which_a_dialogue_tells_its_split_is_there_whole(own_corpus):
    told = [record("A?", "B.", split="val", group="held"), record("C?", "D.", split="train", group="learnt")]
    others = [record(f"{group} {i}?", "Yes.", group=group) for group in ("held", "learnt") for i in range(9)]
    specification = own_corpus(*told, *others, *many(4))
    for seed in range(20):
        [corpus] = load_corpora([specification], val_fraction=0.25, seed=seed)
        assert [each.group for each in corpus.val].count("held") == 10 and len(corpus.val) == 11
        assert [each.group for each in corpus.train].count("learnt") == 10 and len(corpus.train) == 13


def test_a_file_of_validation_dialogues_alone_is_one(own_corpus):
    corpora = load_corpora(
        [own_corpus(*many(3, split="val"), name="val"), own_corpus(*many(9, split="train"))]
    )
    assert [(len(each.train), len(each.val)) for each in corpora] == [(0, 3), (6, 0)]


def test_what_is_dropped_is_counted_with_its_reason(own_corpus):
    persona = ["I sing."]
    records = [
        *many(4, split="train"),
        record("Alone.", split="train"),
        record("Question 1?", "answer 1.", split="train"),
        record("Held out?", "Yes.", split="train", persona=["I sing."]),
        record("Held out?", "Yes.", split="val", persona=["I ski."]),
        {
            "turns": [{"role": "assistant", "text": "Hi."}, {"role": "user", "text": "Bye."}],
            "persona": persona,
        },
        # Without a persona the one who answers may as well be the assistant.
        {"turns": [{"role": "assistant", "text": "Hi."}, {"role": "user", "text": "Bye!"}], "split": "train"},
    ]
    [corpus] = load_corpora([own_corpus(*records)])
    assert len(corpus.train) == 5 and len(corpus.val) == 1
    assert corpus.dropped == {
        "dialogues of less than two turns": 1,
        "dialogues without a reply of the assistant": 1,
        "exact duplicates": 1,
        "training dialogues that are in validation": 1,
    }


def test_a_training_dialogue_is_in_validation_whatever_its_punctuation_spaces_and_case(own_corpus):
    copies = [("well,i'm 5.", "OK ."), ("Well, I'm 5!", "ok")]
    others = [("Well, I'm 6.", "OK."), ("Well, I'm 5.", "OK.", "Bye."), ("?", "!"), ("!", "?!")]
    records = [record(*each, split="train") for each in (*copies, *others)]
    held_out = [record("Well, I'm 5.", "OK.", split="val"), record("?", "...", split="val")]
    [corpus] = load_corpora([own_corpus(*records, *held_out)])
    assert texts(corpus.train) == set(others) and len(corpus.val) == 2
    assert corpus.dropped == {"training dialogues that are in validation": 2}


def test_the_same_words_of_another_persona_are_no_duplicate(own_corpus):
    sides = [record("Hi.", "Yes?", "Bye.", "Bye!", persona=[p], split="train") for p in ("I sing.", "I ski.")]
    [corpus] = load_corpora([own_corpus(*sides, *many(1, split="val"))])
    assert len(corpus.train) == 2
    [corpus] = load_corpora([own_corpus(*sides, *many(1, split="val"))], plain_text=True)
    assert len(corpus.train) == 1, "of plain text, which has no personas, it is one"


def test_the_same_words_with_the_persona_of_the_other_side_are_no_duplicate(own_corpus):
    one = record("Hi.", "Yes?", "Bye.", "Bye!", persona=["I sing."], split="train")
    other_role = {"user": "assistant", "assistant": "user"}
    other = {**one, "turns": [{**turn, "role": other_role[turn["role"]]} for turn in one["turns"]]}
    [corpus] = load_corpora([own_corpus(one, other, *many(1, split="val"))])
    assert len(corpus.train) == 2
    without = [{**each, "persona": []} for each in (one, other)]
    [corpus] = load_corpora([own_corpus(*without, *many(1, split="val"))])
    assert len(corpus.train) == 1, "without a persona both sides are learnt of either"


def test_duplicates_are_found_across_corpora(own_corpus):
    first = own_corpus(*many(10), name="first")
    second = own_corpus(*many(10), record("New?", "New.", split="train"), name="second")
    corpora = load_corpora([first, second], val_fraction=0.2)
    kept = [each for corpus in corpora for each in (*corpus.train, *corpus.val)]
    assert len(kept) == len(texts(kept)) == 11


@pytest.mark.parametrize(
    ("records", "options", "problem"),
    [
        ([], {}, "no usable dialogue (it is empty)"),
        ([record("Alone.")], {}, "no usable dialogue (1 dialogues of less than two turns)"),
        (many(4), {"val_fraction": 0.0}, "--val-fraction: no dialogue is left for validation"),
        (
            many(4, group="any"),
            {"val_fraction": 0.5},
            "dialogues of at least two groups, or some that are marked",
        ),
        (many(4, split="val"), {}, "--val-fraction: no dialogue is left for training"),
        (many(4), {"val_fraction": 0.9}, "--val-fraction: no dialogue is left for training"),
    ],
)
def test_a_corpus_without_dialogues_is_an_error(own_corpus, records, options, problem):
    with refused(problem):
        load_corpora([own_corpus(*records)], **options)


def test_an_unknown_name_is_an_error():
    with pytest.raises(
        UserError,
        match=r"--corpora reddit=x: no such corpus; give NAME or NAME=PATH of cornell.+ as jsonl=mine.jsonl$",
    ):
        load_corpora(["reddit=x"])


def test_help_writes_with_a_path_what_cannot_be_downloaded():
    [corpora] = [each for each in fields(PrepareArguments) if each.name == "corpora"]
    told = corpora.metadata["help"]
    assert all(name in told for name in LOADERS)
    with_path = re.findall(r"([a-z_]+)=PATH", told)
    assert len(with_path) == 3
    for name in with_path:
        with refused(f"--corpora {name}: ", " give "):
            [*LOADERS[name](None, False, Counter())]
