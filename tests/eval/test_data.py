"""Which dialogues are evaluated."""

import json

import pytest

from eval.data import fingerprint, read_views
from tests.conftest import refused


def write(path, *records) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def record(text: str, **more) -> dict:
    turns = [{"role": "user", "text": text}, {"role": "assistant", "text": f"{text} too."}]
    return {"turns": turns, "persona": ["I sing."], **more}


def read(data, splits=("val",), shares=None, max_dialogues=0, seed=0):
    return read_views(data, list(splits), shares or {}, max_dialogues, seed)


def test_corpora_and_splits_stand_apart(prepared):
    one = read([str(prepared)])
    assert set(one) == {"cornell", "personachat"}
    both = read([str(prepared)], splits=("train", "val"))
    assert set(both) == {f"{source} {split}" for source in one for split in ("train", "val")}
    assert both["cornell val"] == one["cornell"]


def test_several_files_are_read(tmp_path):
    files = [write(tmp_path / f"{n}.jsonl", record(f"Hi {n}", source=f"s{n}")) for n in range(2)]
    assert {name: len(views) for name, views in read(files).items()} == {"s0": 1, "s1": 1}


def test_a_corpus_may_be_called_anything(tmp_path):
    named = [record(f"Hi {n}", source="my talks") for n in range(10)]
    path = write(tmp_path / "x.jsonl", *named, record("Ho", source=""), record("Hu", source=None))
    found = read([path], shares={"my talks": 0.5})
    assert {name: len(views) for name, views in found.items()} == {"my talks": 5, "jsonl": 2}


def test_a_share_takes_whole_groups(tmp_path):
    records = [record(f"Line {n}", source="films", group=f"m{n // 5}") for n in range(50)]
    path = write(tmp_path / "x.jsonl", *records)
    views = read([path], shares={"films": 0.3})["films"]
    groups = [view.group for view in views]
    assert len(views) == 15 and len(set(groups)) == 3
    assert views == read([path], shares={"films": 0.3})["films"]
    assert views != read([path], shares={"films": 0.3}, seed=1)["films"]


def test_lines_of_a_file_that_are_marked_as_of_another_split_are_left_out(tmp_path):
    marks = ("train", "val", "", None)
    path = write(tmp_path / "x.jsonl", *(record(f"Hi {mark}", split=mark) for mark in marks))
    for splits, expected in (
        (("val",), ["Hi val", "Hi ", "Hi None"]),
        (("train", "val"), ["Hi train", "Hi val", "Hi ", "Hi None"]),
    ):
        views = read([path], splits=splits)["jsonl"]
        assert [view.turns[0].text for view in views] == [each.strip() for each in expected]


def test_at_most_so_many_dialogues(prepared):
    views = read([str(prepared)], max_dialogues=3)
    assert len(views["personachat"]) == 3 and len(views["cornell"]) == 6


def test_the_fingerprint_knows_every_word(tmp_path):
    one, same, other = (
        read([write(tmp_path / f"{n}.jsonl", record(text))])["jsonl"]
        for n, text in enumerate(("Hi", "Hi", "Ho"))
    )
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"data": ["nowhere.jsonl"]}, "--data nowhere.jsonl: no such file; give a file of dialogues"),
        ({"data": ["made_by_prepare"]}, "no such file or folder; make a dataset with `python -m"),
        ({"data": ["user/dialogues"]}, "`hf download user/dialogues --repo-type dataset --local-dir FOLDER`"),
        ({"data": ["FOLDER"]}, "has no `dialogues/val.jsonl`"),
        ({"data": ["EMPTY"]}, "has no dialogue"),
        ({"data": ["LEARNT"]}, "are marked as of another split than --splits val; give --splits train, or"),
        ({"data": ["MUTE"]}, "mute.jsonl: alone has no reply to anything; give one that has"),
        (
            {"data": ["GOOD"], "shares": {"cornel": 0.1}},
            "--share cornel: no such corpus in --data; it has jsonl",
        ),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, options, problem):
    write(tmp_path / "empty.jsonl")
    write(tmp_path / "good.jsonl", record("Hi"))
    write(tmp_path / "mute.jsonl", {"turns": [{"role": "user", "text": "Hi!"}], "source": "alone"})
    write(tmp_path / "learnt.jsonl", record("Hi", split="train"))
    places = {name.upper(): tmp_path / f"{name}.jsonl" for name in ("empty", "good", "mute", "learnt")}
    places["FOLDER"] = tmp_path
    data = [str(places.get(name, name)) for name in options["data"]]
    with refused(problem):
        read(data, shares=options.get("shares"))
