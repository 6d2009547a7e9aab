"""Of a path on this machine the last part alone is published."""

from dataclasses import dataclass

from chat.published_paths import published, with_last_parts, without_folders


@dataclass(frozen=True)
class Arguments:
    data: str
    base: str
    output_dir: str


def test_of_paths_on_this_machine_alone_the_last_part_is_published(tmp_path):
    given = Arguments(data=str(tmp_path / "talk"), base="models/pocket", output_dir="runs/one")
    told = with_last_parts(given, ("data", "base", "output_dir"))
    assert (told.data, told.base, told.output_dir) == ("./talk", "models/pocket", "runs/one")


def test_a_path_is_published_as_its_last_part_whatever_is_in_it(tmp_path, monkeypatch):
    odd = tmp_path / "date=2024.jsonl"
    odd.touch()
    assert without_folders(f"jsonl={odd}") == "jsonl=date=2024.jsonl"
    assert without_folders(str(odd)) == "date=2024.jsonl"
    monkeypatch.chdir(tmp_path)
    assert without_folders(".") == published(".") == tmp_path.name
    assert without_folders("cornell=.") == f"cornell={tmp_path.name}"
    assert without_folders("user/model") == "user/model"
    for path in ("/home/me/words", "~/words", "./words", "../words", "./words/"):
        assert published(path) == "words"
    assert published("user/model") == "user/model"
