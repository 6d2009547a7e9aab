"""Runs that push to the Hub while they train, and go on from it elsewhere, in processes of their own."""

import json
import signal
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

from chat.cli import UserError
from chat.hub.cards import RepositoryState
from chat.hub.publishing import additions_of
from chat.hub.repositories import Destination
from tests.conftest import ROOT, SAMPLE_CORPORA, no_room, wait_until
from tests.hub_server import client_environment, hub
from tests.hub_server.store import Repositories
from tests.processes import contents, mentions, python, started
from tests.training.conftest import flags_of
from training import hub as training_hub
from training import push_checkpoints
from training.arguments import TrainArguments
from training.push_checkpoints import SNAPSHOTS, PushCheckpoints

TOKEN = "hf_OfSomeoneWhoMayWrite"
CHAT, TALK = ("model", "someone/chat"), ("dataset", "someone/talk")
WEIGHTS = "model.safetensors"
ANSWER = """
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

model = AutoModelForCausalLM.from_pretrained("someone/chat", revision=sys.argv[1])
model.save_pretrained(sys.argv[2])
chat = pipeline("text-generation", "someone/chat", revision=sys.argv[1], max_new_tokens=5)
messages = [{"role": "system", "content": "I have two cats."}, {"role": "user", "content": "Hi!"}]
print(json.dumps(chat(messages)[0]["generated_text"]))
"""


@pytest.fixture
def repositories() -> Repositories:
    return Repositories(token=TOKEN)


@pytest.fixture
def machine(tmp_path, short_run):
    """A function: flags and environment of a run on a machine of its own, with empty folders and caches."""

    def build(name: str, endpoint: str, token: str = TOKEN, **changes) -> dict:
        home = tmp_path / name
        arguments = short_run(name, **{"push_to_hub": "someone/chat", **changes})
        return {
            "arguments": flags_of(arguments),
            "environment": client_environment(endpoint, home / "cache", token),
            "final": home / "final",
            "run": home / "run",
        }

    return build


def trained(machine: dict):
    return python(*machine["arguments"], environment=machine["environment"])


def history(folder: Path) -> list[dict]:
    """The log without times, and without the summary, which averages the steps of one process alone."""
    timed = ("runtime", "per_second")
    entries = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [
        {name: value for name, value in entry.items() if not any(each in name for each in timed)}
        for entry in entries
        if "train_runtime" not in entry
    ]


def steps_on_branch(repositories: Repositories) -> set[str]:
    return {path.split("/")[0] for path in repositories.contents(CHAT, "checkpoints") if "/" in path}


@pytest.mark.slow
def test_a_run_is_pushed_while_the_hub_fails(repositories, machine, tmp_path):
    repositories.faults.add("GET .*/refs", status=500)
    repositories.faults.add("POST .*/commit/checkpoints", status=500, times=2)
    repositories.faults.add("PUT /storage/", reset_after_bytes=1000)
    repositories.faults.add("POST .*/commit/main", status=429, headers={"Retry-After": "1"})
    with hub(repositories) as endpoint:
        here = machine("a", endpoint, hub_tag="v1", save_total_limit=1)
        done = trained(here)
        assert done.returncode == 0, done.stderr
        other = trained(machine("b", endpoint, hub_tag="v2"))
    local = contents(here["run"])
    pushed = repositories.contents(CHAT, "checkpoints")
    assert repositories.get(CHAT).private
    # What the folder has, and nothing that is unpickled as code.
    assert pushed == {
        path: content
        for path, content in local.items()
        if (path.startswith("checkpoint-") and "training_args" not in path) or path == "train_arguments.json"
    }
    assert "is not on the Hub yet (the Hub has a failure of its own (500: It went wrong.))" in done.stderr
    published = repositories.contents(CHAT, "v1")
    assert published == contents(here["final"]) and repositories.messages(CHAT) == ["Model of step 6"]
    assert "It has not been evaluated yet." in published["README.md"].decode()
    arguments = json.loads(published["train_arguments.json"])
    assert arguments["push_to_hub"] is None and arguments["base"] == "./tiny.json"
    assert not [path for path, content in published.items() if str(tmp_path).encode() in content]
    assert not list(here["run"].glob(".*")) or not list((here["run"] / ".pushing").iterdir())
    assert not mentions(TOKEN, tmp_path, done.stdout, done.stderr) and not repositories.leaks
    # A new run must not take the place of this one's checkpoints.
    assert other.returncode == 2, other.stderr
    assert "holds checkpoints of an earlier run, up to step 6; go on with it by --resume" in other.stderr
    assert len(repositories.messages(CHAT)) == 1


def test_the_checkpoints_of_a_process_that_goes_on_elsewhere_stay(tmp_path, monkeypatch):
    """A machine that comes back to the network takes nothing from the one that has gone on meanwhile."""
    for name in ("make", "make_branch", "refuse_another_model", "refuse_other_run"):
        monkeypatch.setattr(push_checkpoints, name, lambda *_: None)
    monkeypatch.setattr(push_checkpoints, "steps_on_hub", lambda _: [400, 700])
    committed = []
    monkeypatch.setattr(push_checkpoints, "commit_files", lambda *_, **__: committed.append(1))
    push = PushCheckpoints(Destination("someone/chat"), str(tmp_path), 0, None)
    with pytest.raises(UserError, match="holds the checkpoint of step 700, another process goes on with"):
        push._commit(tmp_path, 500)
    push._commit(tmp_path, 800)
    assert committed == [1]
    # A resumed run pushes at once what it goes on from, which may be what is there.
    push._commit(tmp_path, 700)
    assert committed == [1, 1]
    push.close()


def test_a_new_run_asks_again_before_its_first_push_whose_the_branch_is(tmp_path, monkeypatch):
    """Another one may have begun to push there since the start, of which this one would take the place."""
    for name in ("make", "make_branch", "refuse_another_model"):
        monkeypatch.setattr(push_checkpoints, name, lambda *_: None)
    for module in (training_hub, push_checkpoints):
        monkeypatch.setattr(module, "steps_on_hub", lambda _: [4])
    monkeypatch.setattr(push_checkpoints, "commit_files", lambda *_, **__: pytest.fail("pushed"))
    push = PushCheckpoints(Destination("someone/chat"), str(tmp_path), 0, None, is_ours=True)
    with pytest.raises(UserError, match="holds checkpoints of an earlier run, up to step 4"):
        push._commit(tmp_path, 6)
    push.close()


def test_what_a_push_has_not_brought_is_in_the_next_one_and_what_is_there_stays(tmp_path, monkeypatch):
    for name in ("make", "make_branch", "refuse_another_model", "refuse_other_run"):
        monkeypatch.setattr(push_checkpoints, name, lambda *_: None)
    tries, failures, branch = [], [ConnectionError("down")], []
    monkeypatch.setattr(push_checkpoints, "steps_on_hub", lambda _: branch)

    def commit_files(destination, additions, *, but, **_):
        tries.append(([each.path_in_repo for each in additions], but))
        if failures:
            raise failures.pop()
        branch[:] = sorted(int(path[11]) for path in (*tries[-1][0], *but))

    monkeypatch.setattr(push_checkpoints, "commit_files", commit_files)
    for step in (2, 4):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / WEIGHTS).touch()
    push = PushCheckpoints(Destination("someone/chat"), str(tmp_path), 0, None)
    with pytest.raises(ConnectionError):
        push._commit(tmp_path, 4)
    push._commit(tmp_path, 4)
    (tmp_path / "checkpoint-2").rename(tmp_path / "checkpoint-6")
    push._commit(tmp_path, 6)
    both = ([f"checkpoint-2/{WEIGHTS}", f"checkpoint-4/{WEIGHTS}"], [])
    assert tries == [both, both, ([f"checkpoint-6/{WEIGHTS}"], ["checkpoint-4/*"])]
    # Somebody deletes the branch while the run goes on.
    branch.clear()
    push._commit(tmp_path, 6)
    assert tries[-1] == ([f"checkpoint-4/{WEIGHTS}", f"checkpoint-6/{WEIGHTS}"], []) and branch == [4, 6]
    push.close()


def test_a_hub_that_could_not_be_asked_at_first_is_asked_before_its_model_is_replaced(
    short_run, on_hub, monkeypatch
):
    made, published, answers = [], [], [ConnectionError("down"), [4]]

    def steps_on_hub(_):
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    monkeypatch.setattr(training_hub, "steps_on_hub", steps_on_hub)
    monkeypatch.setattr(training_hub, "make", made.append)
    monkeypatch.setattr(training_hub, "publish_model", lambda *_, **__: published.append(1))
    monkeypatch.setattr(training_hub, "write_card_without_results", lambda *_: None)
    run, destination = short_run(), Destination("someone/chat")
    is_ours = training_hub.begin(run, destination)
    assert not is_ours
    with pytest.raises(UserError, match=r"holds checkpoints of an earlier run.* whole on this machine"):
        training_hub.publish_final_model(run, destination, is_ours, 6)
    assert not published and made == [destination]
    answers[:] = [[], []]
    assert training_hub.begin(run, destination)
    training_hub.publish_final_model(run, destination, True, 6)
    assert published == [1] and answers == [[]]


def test_the_model_is_published_with_a_card_of_its_own_and_the_tag_that_was_asked_for(short_run, monkeypatch):
    done = []
    monkeypatch.setattr(training_hub, "make", lambda _: None)
    monkeypatch.setattr(training_hub, "refuse_another_model", lambda _: None)
    monkeypatch.setattr(training_hub, "write_card_without_results", lambda *given: done.append(given))
    monkeypatch.setattr(
        training_hub, "publish_model", lambda *_, message, tag, **__: done.append((message, tag))
    )
    run = short_run(push_to_hub="someone/chat", hub_tag="v1")
    training_hub.publish_final_model(run, Destination("someone/chat"), True, 6)
    assert done == [(run.final_model_dir, "someone/chat"), ("Model of step 6", "v1")]


def test_the_results_of_a_model_that_is_published_again_stay_in_its_card(short_run, tmp_path, monkeypatch):
    merges, weights = [], {WEIGHTS: sha256(b"these").hexdigest()}
    monkeypatch.setattr(training_hub, "make", lambda _: None)
    monkeypatch.setattr(training_hub, "refuse_another_model", lambda _: None)
    monkeypatch.setattr("eval.publish_card.files_on", lambda *_: ["README.md", *weights])
    monkeypatch.setattr("eval.publish_card.checksums", lambda *_: weights)
    monkeypatch.setattr(training_hub, "write_card_without_results", lambda *_: None)
    monkeypatch.setattr(training_hub, "publish_model", lambda *_, merge_card, **__: merges.append(merge_card))
    (tmp_path / "final").mkdir()
    (tmp_path / "final" / WEIGHTS).write_bytes(b"these")
    training_hub.publish_final_model(short_run(), Destination("someone/chat"), True, 6)
    mark = "<!-- Written by `python -m eval.card`"
    ours, there = (f"---\na: 1\n---\n{mark}\n{text}" for text in ("Not evaluated.", "Perplexity: 20"))
    assert merges[0](there, ours) == there and merges[0](None, ours) == ours
    (tmp_path / "final" / WEIGHTS).write_bytes(b"others")
    assert "Not evaluated." in merges[0](there, ours)


def test_a_card_that_cannot_be_merged_is_found_before_the_work(short_run, on_hub, monkeypatch):
    from chat.hub import spaces
    from data_scripts import publish
    from eval import publish_card, publish_model

    card, index = "---\na: [\n---\n# Mine", "---\nmodel-index: none\n---\n# Mine"
    monkeypatch.setattr("chat.hub.cards.state_of", lambda _: RepositoryState("c0ffee", (), card))
    monkeypatch.setattr(publish_card, "changeable_card", lambda _: RepositoryState("c0ffee", (), index))
    monkeypatch.setattr(publish_model, "_staged", lambda _: pytest.fail("work"))
    destination = Destination("someone/chat")
    to_publish = publish_model.PublishModelArguments(str(ROOT / "models" / "pocket"), "someone/chat")
    for begin in (
        lambda: training_hub.begin(short_run(), destination),
        lambda: publish.make_dataset_ready(Destination("someone/chat", "dataset")),
        lambda: spaces.make_space_ready(Destination("someone/chat", "space"), "a mark"),
        lambda: publish_model.publish(to_publish),
        lambda: publish_card.card_destination("someone/chat", Path("model")),
    ):
        with pytest.raises(
            UserError, match=r"^--push-to-hub someone/chat: the card's metadata cannot be read"
        ):
            begin()


def write_checkpoints(folder: Path, *steps: int, **state) -> None:
    for step in steps:
        (folder / f"checkpoint-{step}").mkdir(parents=True)
        text = json.dumps({"global_step": step, **state})
        (folder / f"checkpoint-{step}" / "trainer_state.json").write_text(text)


def test_what_the_hub_has_comes_beside_what_is_here(tmp_path, monkeypatch):
    monkeypatch.setattr(training_hub, "steps_on_hub", lambda _: [4, 6])
    monkeypatch.setattr(
        training_hub, "download", lambda _, __, folder, allow: write_checkpoints(folder, 4, 6)
    )
    write_checkpoints(tmp_path, 4, mine=True)
    training_hub.fetch_checkpoints(Destination("someone/chat"), str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-4", "checkpoint-6"]
    assert json.loads((tmp_path / "checkpoint-4" / "trainer_state.json").read_text())["mine"]


def test_what_is_left_of_another_runs_download_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(training_hub, "steps_on_hub", lambda _: [4])
    monkeypatch.setattr(training_hub, "download", lambda _, __, folder, allow: write_checkpoints(folder, 4))
    write_checkpoints(tmp_path / training_hub.DOWNLOAD, 100)
    training_hub.fetch_checkpoints(Destination("someone/chat"), str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-4"]


def test_what_the_hub_has_is_fetched_only_where_it_is_newer(tmp_path, monkeypatch):
    monkeypatch.setattr(training_hub, "steps_on_hub", lambda _: [4, 6])
    monkeypatch.setattr(training_hub, "download", lambda _, __, folder, allow: write_checkpoints(folder, 6))
    monkeypatch.setattr(training_hub, "_fetch", lambda *_: pytest.fail("fetched"))
    write_checkpoints(tmp_path, 6)
    training_hub.fetch_checkpoints(Destination("someone/chat"), str(tmp_path))


def test_what_is_half_there_is_not_fetched_and_gives_way_to_what_is_whole(tmp_path, monkeypatch):
    def download(_, __, folder, allow):
        write_checkpoints(folder, 4, 6)
        (folder / "checkpoint-6" / "trainer_state.json").write_text('{"global_st')

    monkeypatch.setattr(training_hub, "steps_on_hub", lambda _: [4, 6])
    monkeypatch.setattr(training_hub, "download", download)
    (tmp_path / "checkpoint-4").mkdir()
    (tmp_path / "checkpoint-4" / WEIGHTS).touch()
    training_hub.fetch_checkpoints(Destination("someone/chat"), str(tmp_path))
    assert [path.name for path in tmp_path.rglob("*")] == ["checkpoint-4", "trainer_state.json"]


@pytest.fixture
def on_hub(tmp_path, monkeypatch) -> Path:
    """A folder that stands for the branch of checkpoints, in a repository without a model."""
    branch = tmp_path / "hub"

    def download(_, __, folder, allow):
        for each in additions_of(branch, allow=allow):
            (folder / each.path_in_repo).parent.mkdir(parents=True, exist_ok=True)
            (folder / each.path_in_repo).write_bytes(Path(each.path_or_fileobj).read_bytes())

    monkeypatch.setattr("chat.hub.repositories.own_token", lambda: "hf_token")
    for module in ("chat.hub.repositories", "training.hub", "training.push_checkpoints"):
        monkeypatch.setattr(f"{module}.make", lambda _: None)
    monkeypatch.setattr(training_hub, "files_on", lambda *_: contents(branch))
    monkeypatch.setattr("chat.hub.cards.state_of", lambda _: RepositoryState("c0ffee", (), None))
    monkeypatch.setattr(training_hub, "download", download)
    return branch


def of_run(folder: Path, run: str, step: int) -> None:
    write_checkpoints(folder, step)
    (folder / f"checkpoint-{step}" / "run.json").write_text(json.dumps({"id": run}))
    (folder / "train_arguments.json").write_text(json.dumps({"seed": run}))


@pytest.mark.parametrize("resume", [False, True])
def test_a_model_of_others_is_not_replaced_by_a_run(resume, short_run, on_hub, tmp_path, monkeypatch):
    """Neither one that is there at the start nor one that comes while it trains."""

    def publish(*_, **__):
        raise AssertionError("published")

    bert = RepositoryState("c0ffee", ("model.safetensors", "vocab.txt", "README.md"), "# My BERT")
    run, destination = short_run(resume=resume), Destination("someone/bert")
    if resume:
        of_run(tmp_path / "run", "mine", 4)
    assert training_hub.begin(run, destination)
    monkeypatch.setattr(training_hub, "publish_model", publish)
    monkeypatch.setattr("chat.hub.cards.state_of", lambda _: bert)
    error = "^--push-to-hub someone/bert: is another model, which this would overwrite; name another"
    with pytest.raises(UserError, match=f"{error}$"):
        training_hub.begin(run, destination)
    with pytest.raises(UserError, match=f"{error}; .*final is not on the Hub, but whole on this machine"):
        training_hub.publish_final_model(run, destination, True, 6)


def test_the_checkpoints_on_the_hub_are_another_runs_unless_it_is_resumed(short_run, on_hub, monkeypatch):
    fetched = []
    monkeypatch.setattr(training_hub, "fetch_checkpoints", lambda *given: fetched.append(given))
    write_checkpoints(on_hub, 4)
    with pytest.raises(UserError, match="holds checkpoints of an earlier run, up to step 4"):
        training_hub.begin(short_run(), Destination("someone/chat"))
    assert not fetched
    training_hub.begin(short_run(resume=True), Destination("someone/chat"))
    assert len(fetched) == 1


def test_a_tag_that_is_taken_is_refused_before_the_work_but_may_be_a_resumed_runs_own(
    short_run, on_hub, monkeypatch
):
    monkeypatch.setattr("chat.hub.repositories._tags", lambda _: {"v1": "c0ffee"})
    monkeypatch.setattr(training_hub, "fetch_checkpoints", lambda *_: None)
    run = {"push_to_hub": "someone/chat", "hub_tag": "v1"}
    with pytest.raises(UserError, match=r"^--hub-tag v1: someone/chat has this tag already; give another"):
        training_hub.begin(short_run(**run), Destination("someone/chat"))
    assert training_hub.begin(short_run(**run, resume=True), Destination("someone/chat"))
    assert training_hub.begin(short_run(**run | {"hub_tag": "v2"}), Destination("someone/chat"))


def test_a_folder_of_somebody_elses_beside_the_checkpoints_is_left_out(on_hub):
    write_checkpoints(on_hub, 4, 10)
    for name in ("checkpoint-best", "checkpoint-2/older"):
        (on_hub / name).mkdir(parents=True)
        (on_hub / name / "trainer_state.json").write_text("{}")
    assert training_hub.steps_on_hub(Destination("someone/chat")) == [4, 10]


@pytest.mark.parametrize(("step_here", "step_there"), [(8, 6), (4, 10), (6, 6)])
def test_a_resumed_run_leaves_another_ones_repository_alone(
    step_here, step_there, short_run, on_hub, tmp_path
):
    of_run(tmp_path / "run", "mine", step_here)
    of_run(on_hub, "theirs", step_there)
    before = contents(tmp_path / "run")
    error = (
        f"--push-to-hub someone/chat: holds another run (to step {step_there}) than --output-dir "
        f"{tmp_path / 'run'} (to step {step_here}); name another repository, or another --output-dir to go "
        "on with that run"
    )
    for asked in (
        lambda: training_hub.begin(short_run(resume=True), Destination("someone/chat")),
        lambda: training_hub.fetch_checkpoints(Destination("someone/chat"), str(tmp_path / "run")),
    ):
        with pytest.raises(UserError) as refused:
            asked()
        assert str(refused.value) == error
    assert contents(tmp_path / "run") == before


def test_a_resumed_run_that_could_not_ask_at_first_asks_before_it_pushes(
    short_run, on_hub, tmp_path, monkeypatch
):
    of_run(tmp_path / "run", "mine", 8)
    of_run(on_hub, "theirs", 6)
    committed = []
    monkeypatch.setattr(push_checkpoints, "commit_files", lambda *_, **__: committed.append(1))
    monkeypatch.setattr(push_checkpoints, "make_branch", lambda *_: None)
    monkeypatch.setattr(training_hub, "publish_model", lambda *_, **__: committed.append(2))
    run, destination = short_run(resume=True), Destination("someone/chat")
    resumed = tmp_path / "run" / "checkpoint-8"
    push = PushCheckpoints(destination, run.output_dir, 0, resumed, is_ours=False)
    push.close()
    with pytest.raises(UserError, match=r"holds another run \(to step 6\) than .* whole on this machine"):
        training_hub.publish_final_model(run, destination, push.has_begun, 8)
    assert not committed


@pytest.fixture
def commits(on_hub, monkeypatch) -> list[dict[str, bytes]]:
    """What each commit on the branch of checkpoints adds, which the stand-in for the branch then holds."""
    made, begun = [], []

    def commit_files(_, additions, **options):
        assert options["ours"] == push_checkpoints.OURS and options["revision"] == push_checkpoints.BRANCH
        assert begun[-2:] == ["repository", "branch"]
        made.append({each.path_in_repo: Path(each.path_or_fileobj).read_bytes() for each in additions})
        for path, content in made[-1].items():
            (on_hub / path).parent.mkdir(parents=True, exist_ok=True)
            (on_hub / path).write_bytes(content)

    monkeypatch.setattr(push_checkpoints, "make", lambda _: begun.append("repository"))
    monkeypatch.setattr(push_checkpoints, "make_branch", lambda *_: begun.append("branch"))
    monkeypatch.setattr(push_checkpoints, "commit_files", commit_files)
    return made


def at_step(step: int, is_first: bool = True) -> dict:
    state = SimpleNamespace(global_step=step, is_world_process_zero=is_first)
    return {"args": None, "state": state, "control": None}


def test_the_first_process_pushes_what_is_whole_and_nothing_that_is_unpickled_as_code(commits, tmp_path):
    run = tmp_path / "run"
    (run / SNAPSHOTS / "2" / "checkpoint-2").mkdir(parents=True)
    push = PushCheckpoints(Destination("someone/chat"), str(run), 2, None, is_ours=True)
    assert push._pushes.every_seconds == 120 and not (run / SNAPSHOTS).exists()
    of_run(run, "mine", 4)
    (run / "checkpoint-4" / "training_args.bin").touch()
    (run / "checkpoint-6").mkdir()
    (run / "checkpoint-6" / WEIGHTS).touch()
    push.on_save(**at_step(4, is_first=False))
    push.on_save(**at_step(4))
    push.close()
    whole = {
        f"checkpoint-4/{name}": (run / "checkpoint-4" / name) for name in ("run.json", "trainer_state.json")
    }
    whole["train_arguments.json"] = run / "train_arguments.json"
    assert commits == [{name: path.read_bytes() for name, path in whole.items()}]
    assert not [*(run / SNAPSHOTS).iterdir()]


def test_a_new_run_that_has_pushed_once_goes_on_to_push(commits, tmp_path):
    push = PushCheckpoints(Destination("someone/chat"), str(tmp_path / "run"), 0, None)
    for step in (4, 6):
        of_run(tmp_path / "run", "mine", step)
        before = len(commits)
        push.on_save(**at_step(step))
        wait_until(lambda before=before: len(commits) > before)
    push.close()
    assert [sorted({path.split("/")[0] for path in each}) for each in commits] == [
        ["checkpoint-4", "train_arguments.json"],
        ["checkpoint-6", "train_arguments.json"],
    ]


def test_a_resumed_run_pushes_at_once_what_it_goes_on_from_also_where_a_snapshot_of_it_was_left(
    commits, tmp_path
):
    of_run(tmp_path / "run", "mine", 4)
    resumed = tmp_path / "run" / "checkpoint-4"
    push = PushCheckpoints(Destination("someone/chat"), str(tmp_path / "run"), 60, resumed, is_ours=True)
    push._pushes.close()
    # As one that failed for good leaves it.
    push._submit(4)
    push._submit(4)
    assert len(commits) == 1 and "checkpoint-4/run.json" in commits[0]


def test_a_disk_without_room_for_what_is_to_be_pushed_stops_no_run(commits, tmp_path, monkeypatch, caplog):
    of_run(tmp_path / "run", "mine", 4)
    push = PushCheckpoints(Destination("someone/chat"), str(tmp_path / "run"), 0, None, is_ours=True)
    with monkeypatch.context() as disk:
        disk.setattr(push_checkpoints.shutil, "copyfile", no_room)
        push.on_save(**at_step(4))
    assert "the checkpoint of step 4 is not pushed ([Errno 28] No space left on device)" in caplog.text
    push.on_save(**at_step(4))
    push.close()
    assert len(commits) == 1


def test_a_branch_of_checkpoints_is_not_begun_beside_a_model_of_others(on_hub, tmp_path, monkeypatch, caplog):
    """Where that could not be asked at the start."""
    bert = RepositoryState("c0ffee", ("model.safetensors", "vocab.txt", "README.md"), "# My BERT")
    monkeypatch.setattr("chat.hub.cards.state_of", lambda _: bert)
    monkeypatch.setattr(push_checkpoints, "make_branch", lambda *_: pytest.fail("a branch"))
    of_run(tmp_path / "run", "mine", 8)
    (tmp_path / "run" / "train_arguments.json").write_text("{}")
    resumed = tmp_path / "run" / "checkpoint-8"
    PushCheckpoints(Destination("someone/bert"), str(tmp_path / "run"), 0, resumed).close()
    assert "--push-to-hub someone/bert: is another model, which this would overwrite" in caplog.text


def test_a_run_goes_on_from_its_own_repository_by_the_arguments_there(short_run, on_hub, tmp_path):
    of_run(tmp_path / "run", "mine", 4)
    of_run(on_hub, "mine", 10)
    (on_hub / "train_arguments.json").write_text('{"max_steps": 12}')
    assert training_hub.begin(short_run(resume=True), Destination("someone/chat"))
    assert (tmp_path / "run" / "checkpoint-10").is_dir()
    assert (tmp_path / "run" / "train_arguments.json").read_text() == '{"max_steps": 12}'


def test_without_the_hub_a_run_goes_on_from_here_and_never_from_its_beginning(tmp_path, monkeypatch, caplog):
    def steps_on_hub(_):
        raise ConnectionError("down")

    monkeypatch.setattr(training_hub, "steps_on_hub", steps_on_hub)
    # In that module alone: other threads here sleep as well.
    monkeypatch.setattr("chat.hub.publishing.time", SimpleNamespace(sleep=lambda _: None))
    with pytest.raises(UserError, match=r"someone/chat: its checkpoints are not here \(down\)"):
        training_hub.fetch_checkpoints(Destination("someone/chat"), str(tmp_path))
    write_checkpoints(tmp_path, 4)
    training_hub.fetch_checkpoints(Destination("someone/chat"), str(tmp_path))
    assert f"going on from {tmp_path / 'checkpoint-4'}" in caplog.text


@pytest.mark.slow
def test_what_is_killed_goes_on_from_the_hub_to_the_same_weights(
    repositories, machine, base_tokenizer_folder, tmp_path
):
    """Dataset, training, kill in mid-push, another machine, model: each with a cache of its own."""
    with hub(repositories) as endpoint:
        flags = ["--corpora", *SAMPLE_CORPORA, "--tokenizer", base_tokenizer_folder]
        flags += ["--output", tmp_path / "data", "--push-to-hub", "someone/talk"]
        environment = client_environment(endpoint, tmp_path / "prepare", TOKEN)
        said = python("-m", "data_scripts.prepare", *flags, environment=environment)
        assert said.returncode == 0, said.stderr
        unbroken = machine("unbroken", endpoint, push_to_hub=None)
        whole = trained(unbroken)
        assert whole.returncode == 0, whole.stderr

        fault = repositories.faults.add("POST .*/commit/checkpoints", hangs=True, skip=1)
        first = machine("first", endpoint, data="someone/talk")
        with started(*first["arguments"], environment=first["environment"]) as process:
            assert fault.reached.wait(timeout=400)
            process.send_signal(signal.SIGKILL)
            output = process.communicate(timeout=60)[0]
        repositories.faults.clear()
        there = steps_on_branch(repositories)
        assert there and "checkpoint-6" not in there and not repositories.contents(CHAT)

        second = machine("second", endpoint, data="someone/talk", resume=True, hub_tag="v1")
        done = trained(second)
        assert done.returncode == 0, done.stderr
        assert "resuming from" in done.stderr and "fetching its checkpoints, up to step" in done.stderr
        elsewhere = client_environment(endpoint, tmp_path / "elsewhere", TOKEN)
        answer = python("-c", ANSWER, "v1", tmp_path / "copy", environment=elsewhere)
        flags = ["--model", "someone/chat", "--engine", "torch"]
        chat = python("-m", "chat", *flags, environment=elsewhere, says="Hi!\n")
    assert answer.returncode == 0 and chat.returncode == 0, answer.stderr + chat.stderr
    assert "GPT-2: " in chat.stdout
    weights = (unbroken["final"] / WEIGHTS).read_bytes()
    assert (second["final"] / WEIGHTS).read_bytes() == weights
    assert repositories.contents(CHAT, "v1")[WEIGHTS] == weights
    assert (tmp_path / "copy" / WEIGHTS).read_bytes() == weights
    assert history(second["final"]) == history(unbroken["final"])
    assert [each["role"] for each in json.loads(answer.stdout)] == ["system", "user", "assistant"]
    assert not mentions(TOKEN, tmp_path, output, said.stderr, done.stdout, done.stderr, answer.stderr)


@pytest.mark.slow
def test_a_run_ends_without_the_hub_and_a_second_command_pushes_it(repositories, machine, tmp_path):
    """A token that was taken away while it trained: the run ends, says what to do, and loses nothing."""
    repositories.faults.add("POST .*/(preupload|commit)/", status=401, times=99, message="Invalid token")
    with hub(repositories) as endpoint:
        here = machine("here", endpoint)
        failed = trained(here)
        assert failed.returncode == 2 and "Traceback" not in failed.stderr, failed.stderr
        error = failed.stderr.splitlines()[-1]
        assert error.startswith(f"error: --push-to-hub someone/chat: {here['final']} is not on the Hub, but")
        assert "set HF_TOKEN to a token that may do this" in error
        assert error.endswith("give the same command again with --resume, which trains no further step")
        assert not repositories.contents(CHAT) and not repositories.contents(CHAT, "checkpoints")
        before = contents(here["final"])
        repositories.faults.clear()
        here["arguments"] += ["--resume"]
        done = trained(here)
    assert done.returncode == 0, done.stderr
    assert repositories.contents(CHAT)[WEIGHTS] == before[WEIGHTS]
    assert "checkpoint-6" in steps_on_branch(repositories)
    assert not mentions(TOKEN, tmp_path, failed.stderr, done.stderr)


@pytest.mark.slow
def test_a_hub_that_is_not_there_stops_no_run(repositories, machine):
    with hub(repositories) as endpoint:
        pass
    here = machine("here", endpoint)
    failed = trained(here)
    assert failed.returncode == 2, failed.stderr
    assert "the Hub cannot be reached (" in failed.stderr.splitlines()[0]
    assert (here["final"] / WEIGHTS).is_file() and (here["run"] / "checkpoint-6").is_dir()
    port = int(endpoint.rpartition(":")[2])
    with hub(repositories, port):
        here["arguments"] += ["--resume"]
        done = trained(here)
    assert done.returncode == 0, done.stderr
    assert repositories.contents(CHAT)[WEIGHTS] == (here["final"] / WEIGHTS).read_bytes()


@pytest.mark.slow
def test_sigterm_pushes_the_checkpoint_and_the_rest_is_trained_elsewhere(repositories, machine):
    with hub(repositories) as endpoint:
        unbroken = machine("unbroken", endpoint, push_to_hub=None, max_steps=12)
        assert trained(unbroken).returncode == 0
        first = machine("first", endpoint, max_steps=12)
        with started(*first["arguments"], environment=first["environment"]) as process:
            for line in process.stdout:
                if "loss" in line:
                    process.send_signal(signal.SIGTERM)
                    break
            output = process.communicate(timeout=300)[0]
        assert process.returncode == 128 + signal.SIGTERM, output
        there = steps_on_branch(repositories)
        assert there and "checkpoint-12" not in there and not repositories.contents(CHAT)
        second = machine("second", endpoint, max_steps=12, resume=True)
        done = trained(second)
    assert done.returncode == 0, done.stderr
    assert (second["final"] / WEIGHTS).read_bytes() == (unbroken["final"] / WEIGHTS).read_bytes()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"push_to_hub": "chat"}, "--push-to-hub chat: not a model's id; give USER/NAME"),
        ({"hub_tag": "v1"}, "--hub-tag: tells how to push; give --push-to-hub USER/NAME, too"),
        (
            {"push_to_hub": "a/b", "hub_tag": "v1 final"},
            "--hub-tag v1 final: cannot be a tag's name; give one such as v1.0",
        ),
        ({"hub_public": True}, "--hub-public: tells how to push; give --push-to-hub USER/NAME, too"),
        ({"hub_every_minutes": -1.0}, "--hub-every-minutes -1.0: give 0 or more"),
    ],
)
def test_bad_flags_are_refused_at_once(changes, error):
    with pytest.raises(UserError, match=f"^{error}$"):
        TrainArguments(**changes)
