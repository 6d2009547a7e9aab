"""A tokenised dataset on the Hub, pushed by the command and loaded again with a cache of its own."""

import errno
import json
import os
from pathlib import Path

import pytest
import yaml

from chat.cli import UserError
from chat.hub.publishing import matches
from chat.hub.repositories import Destination
from data_scripts import publish
from data_scripts.arguments import PrepareArguments
from data_scripts.publish import render_card
from tests.conftest import SAMPLE_CORPORA
from tests.hub_server import client_environment, hub
from tests.hub_server.store import Repositories
from tests.processes import ON_A_FULL_DISK, contents, mentions, python

TOKEN = "hf_OfSomeoneWhoMayWrite"
TALK = ("dataset", "someone/talk")
COMPARE = """
import json, sys
from datasets import load_dataset, load_from_disk
from chat.hub.data import load_tokenized

local, loaded = load_from_disk(sys.argv[1]), load_dataset("someone/talk")
_, tokenizer = load_tokenized("someone/talk")
for split, rows in local.items():
    assert rows.features == loaded[split].features
    assert rows.to_list() == loaded[split].to_list()
print(json.dumps({"splits": list(loaded), "vocabulary": len(tokenizer)}))
"""


@pytest.fixture
def flags(prepared, base_tokenizer_folder, tmp_path):
    """Of a command that finds its dataset prepared, and pushes it."""
    import shutil

    shutil.copytree(prepared, tmp_path / "data")
    return [
        *("--corpora", *SAMPLE_CORPORA),
        *("--tokenizer", str(base_tokenizer_folder)),
        *("--output", str(tmp_path / "data"), "--push-to-hub", "someone/talk"),
    ]


@pytest.mark.slow
def test_what_is_pushed_is_what_is_loaded(flags, tmp_path):
    repositories = Repositories(token=TOKEN)
    with hub(repositories) as endpoint:
        environment = client_environment(endpoint, tmp_path / "home", TOKEN)
        pushed = python("-m", "data_scripts.prepare", *flags, environment=environment)
        assert pushed.returncode == 0, pushed.stderr
        again = python("-m", "data_scripts.prepare", *flags, environment=environment)
        fresh = client_environment(endpoint, tmp_path / "elsewhere", TOKEN)
        loaded = python("-c", COMPARE, tmp_path / "data", environment=fresh)
    offline = python("-c", COMPARE, tmp_path / "data", environment={**fresh, "HF_HUB_OFFLINE": "1"})
    assert loaded.returncode == again.returncode == 0, loaded.stderr
    stats = json.loads((tmp_path / "data" / "stats.json").read_text())
    assert json.loads(loaded.stdout) == {"splits": ["train", "val"], "vocabulary": stats["vocab_size"]}
    assert offline.stdout == loaded.stdout, offline.stderr
    # Private, in one commit, and a second push of the same is none.
    assert repositories.get(TALK).private
    assert repositories.messages(TALK) == ["Dataset of data_scripts.prepare"]
    assert json.loads(repositories.contents(TALK)["stats.json"]) == stats
    assert not list(tmp_path.glob(".*"))
    assert not mentions(TOKEN, tmp_path, pushed.stdout, pushed.stderr, loaded.stderr)


@pytest.mark.slow
def test_what_others_wrote_into_the_card_stays(flags, tmp_path):
    repositories = Repositories(token=TOKEN)
    with hub(repositories) as endpoint:
        environment = client_environment(endpoint, tmp_path / "home", TOKEN)
        python("-m", "data_scripts.prepare", *flags, environment=environment)
        for path, content in repositories.contents(TALK).items():
            (tmp_path / "edited" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "edited" / path).write_bytes(content)
        with open(tmp_path / "edited" / "README.md", "a") as card:
            card.write("\n## Thanks\nTo my cat.\n")
        repositories.import_folder(TALK, tmp_path / "edited")
        changed = [*flags, "--max-length", "64"]
        done = python("-m", "data_scripts.prepare", *changed, environment=environment)
    assert done.returncode == 0, done.stderr
    card = repositories.contents(TALK)["README.md"].decode()
    assert card.count("To my cat.") == 1 and card.count("# someone/talk\n") == 1
    assert "A sequence has at most 64 tokens." in card


def test_another_dataset_is_left_alone(flags, tmp_path):
    repositories, other = Repositories(token=TOKEN), tmp_path / "other"
    (other / "data").mkdir(parents=True)
    (other / "data" / "train.parquet").write_bytes(b"years of work")
    repositories.import_folder(TALK, other, private=True)
    with hub(repositories) as endpoint:
        environment = client_environment(endpoint, tmp_path / "home", TOKEN)
        done = python("-m", "data_scripts.prepare", *flags, environment=environment)
    assert done.returncode == 2 and not done.stdout
    assert "someone/talk: is another dataset, which this would overwrite; name another" in done.stderr
    assert [*repositories.contents(TALK)] == ["data/train.parquet"]


def test_another_dataset_is_left_alone_also_where_the_hub_could_not_tell_of_it_at_first(flags, tmp_path):
    repositories, other = Repositories(token=TOKEN), tmp_path / "other"
    (other / "data").mkdir(parents=True)
    (other / "data" / "mine.csv").write_text("years of work")
    repositories.import_folder(TALK, other, private=True)
    repositories.faults.add("POST .*/repos/create", status=503)
    with hub(repositories) as endpoint:
        environment = client_environment(endpoint, tmp_path / "home", TOKEN)
        done = python("-m", "data_scripts.prepare", *flags, environment=environment)
    assert done.returncode == 2 and "it is tried again when the dataset is there" in done.stderr
    assert "someone/talk: is another dataset, which this would overwrite; name another" in done.stderr
    assert [*repositories.contents(TALK)] == ["data/mine.csv"]


@pytest.mark.slow
def test_a_full_disk_costs_the_push_and_not_the_dataset(flags, tmp_path):
    repositories, before = Repositories(token=TOKEN), contents(tmp_path / "data")
    with hub(repositories) as endpoint:
        environment = client_environment(endpoint, tmp_path / "home", TOKEN)
        full = python("-c", ON_A_FULL_DISK, 20_000, "data_scripts.prepare", *flags, environment=environment)
        assert full.returncode == 2 and "Traceback" not in full.stderr, full.stderr
        assert "; the dataset is whole; make room and give the same command again" in full.stderr
        assert contents(tmp_path / "data") == before and not repositories.contents(TALK)
        assert not list(tmp_path.glob(".*"))
        done = python("-m", "data_scripts.prepare", *flags, environment=environment)
    assert done.returncode == 0 and repositories.contents(TALK), done.stderr


def test_a_token_that_is_missing_is_found_missing_before_the_work(flags, tmp_path):
    repositories = Repositories(token=TOKEN)
    with hub(repositories) as endpoint:
        environment = client_environment(endpoint, tmp_path / "home")
        done = python("-m", "data_scripts.prepare", *flags, environment=environment)
    assert done.returncode == 2 and not done.stdout and not repositories.requests
    assert done.stderr.startswith("error: --push-to-hub someone/talk: no token; set HF_TOKEN")


def test_public_without_a_place_is_refused():
    with pytest.raises(UserError, match=r"^--hub-public: .+ give --push-to-hub USER/NAME, too$"):
        PrepareArguments(hub_public=True)


def test_a_place_where_one_may_not_write_is_told(prepared, monkeypatch):
    def mkdir(path, **_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    told = r"^--output .*: the files to push cannot be written beside it \(Permission denied\)"
    with pytest.raises(UserError, match=told), publish._laid_out(prepared, "someone/talk"):
        pass


def test_what_an_earlier_dataset_had_goes_and_nothing_is_left_beside_this_one(prepared, monkeypatch):
    """Of files left over from more or fewer shards, readers would take rows twice."""
    pushed = []

    def publish_folder(folder, _, *, ours, **__):
        pushed.extend((set(contents(folder)), ours))

    for name in ("make", "refuse_anothers"):
        monkeypatch.setattr(publish, name, lambda *_: None)
    monkeypatch.setattr(publish, "publish_folder", publish_folder)
    publish.publish(prepared, Destination("someone/talk", "dataset"))
    files, ours = pushed
    assert {f"data/{split}-00000-of-00001.parquet" for split in ("train", "val")} < files
    for path in ("data/train-00001-of-00002.parquet", "tokenizer/vocab.json", "stats.json", *files):
        assert matches(path, ours) is (path != "README.md"), path
    assert not matches("picture.png", ours) and not [*prepared.parent.glob(".*publishing")]


@pytest.mark.parametrize("plain_text", [False, True])
def test_the_card_tells_where_it_comes_from_and_how_it_is_made(prepared, plain_text):
    stats = json.loads((prepared / "stats.json").read_text())
    stats["options"] |= {"plain_text": plain_text, "times": ["cornell=0.5"]}
    card = render_card(stats, "someone/talk")
    metadata = yaml.safe_load(str(card).split("---")[1])
    assert metadata["license"] == "other" and metadata["language"] == "en"
    [config] = metadata["configs"]
    assert metadata["size_categories"] == ["n<1K"]
    assert [each["path"] for each in config["data_files"]] == ["data/train-*.parquet", "data/val-*.parquet"]
    for corpus, counts in stats["corpora"].items():
        for split in ("train", "val"):
            assert f"| {corpus} | {split} | {counts[split]['dialogues']:,} | " in card.text
    for part in (
        "the scripts' own rights are not cleared",
        "none stated with the copy on the Hub",
        "python -m data_scripts.prepare --corpora cornell=movie-corpus personachat=persona-chat ",
        "--times cornell=0.5",
        "danescu2011chameleons",
        "zhang2018personalizing",
    ):
        assert part in card.text
    assert ("--plain-text true" in card.text) == plain_text
    assert os.sep + "data_scripts" not in card.text and "Undefined" not in str(card)
    stats["options"]["times"] = ["personachat=100"]
    assert "- 10K<n<100K" in str(render_card(stats, "someone/talk"))


@pytest.mark.parametrize(
    ("options", "base"),
    [
        ({"tokenizer": PrepareArguments.tokenizer}, ""),
        ({"tokenizer": "models/pocket-base"}, " --base models/pocket-base"),
        ({"train_tokenizer_vocab_size": 8000}, " --base training/configs/models/gpt2-7m.json"),
    ],
)
def test_the_command_that_trains_on_it_names_a_base_of_its_tokenizer(prepared, options, base):
    stats = json.loads((prepared / "stats.json").read_text())
    stats["options"] |= options
    card = str(render_card(stats, "someone/talk"))
    assert f"\npython -m training.train --data someone/talk{base}\n" in card


def test_the_card_tells_what_reads_the_dialogues(prepared, tmp_path):
    """`load_dataset` takes the distractors of some turns of `val` for an error, and personas behind 10 MB."""
    import pandas

    card = str(render_card(json.loads((prepared / "stats.json").read_text()), "someone/talk"))
    assert "as JSON lines, for `pandas.read_json(path, lines=True, dtype=False)`" in card
    for path in (prepared / "dialogues").glob("*.jsonl"):
        written = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        # Of one's own, groups may be numbers.
        written = [each | {"group": f"0{number}"} for number, each in enumerate(written)]
        numbered = tmp_path / path.name
        numbered.write_text("".join(f"{json.dumps(each)}\n" for each in written), encoding="utf-8")
        assert written and pandas.read_json(numbered, lines=True, dtype=False).to_dict("records") == written


def test_own_dialogues_are_not_said_to_be_reworded(prepared):
    stats = json.loads((prepared / "stats.json").read_text())
    assert "was turned into written English" in str(render_card(stats, "someone/talk"))
    stats["options"]["corpora"] = ["jsonl=a.jsonl", "jsonl=b.jsonl"]
    assert "written English" not in str(render_card(stats, "someone/talk"))


def test_the_size_counts_the_times_of_each_corpus_of_a_name(prepared):
    stats = json.loads((prepared / "stats.json").read_text())
    stats["options"] |= {"corpora": ["jsonl=a.jsonl", "jsonl=b.jsonl"], "times": ["jsonl=100"]}
    small, large = stats["corpora"]["cornell"], stats["corpora"]["personachat"]
    small["train"]["sequences"], large["train"]["sequences"] = 0, 50
    stats["corpora"] = {"jsonl": small, "jsonl_1": large}
    assert "- 1K<n<10K" in str(render_card(stats, "someone/talk"))


def test_the_rows_keep_their_order_over_several_files(tmp_path, monkeypatch):
    from datasets import Dataset, load_dataset

    monkeypatch.setattr(publish, "SHARD_BYTES", 100)
    rows = Dataset.from_dict({"length": list(range(50))})
    publish._write_shards(rows, tmp_path, "train")
    files = sorted(map(str, tmp_path.glob("train-*-of-*.parquet")))
    assert len(files) == 4
    loaded = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["length"][:] == rows["length"][:]
