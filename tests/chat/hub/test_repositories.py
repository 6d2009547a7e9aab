"""What the Hub's client is asked to do with repositories, without a Hub."""

import socket
from types import SimpleNamespace
from unittest.mock import MagicMock, call

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils._http import default_client_factory

from chat.cli import UserError
from chat.hub import cards, publishing, repositories
from chat.hub.feedback import ATTEMPTS_AT_START, feedback_scheduler
from chat.hub.repositories import Destination
from chat.hub.spaces import make_space_ready, set_variable

CHAT = "someone/chat"


@pytest.fixture
def client(monkeypatch) -> MagicMock:
    """The Hub's client, which notes what it is asked; the repository is private and has a card."""
    client = MagicMock()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: client)
    client.repo_info.return_value = SimpleNamespace(private=True, sha="c0ffee", siblings=[])
    return client


def test_no_answer_is_waited_for_for_ever(client, monkeypatch):
    factories = []
    monkeypatch.setattr("huggingface_hub.set_client_factory", factories.append)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    repositories._bound_waiting.cache_clear()
    try:
        repositories.make(Destination(CHAT))
    finally:
        repositories._bound_waiting.cache_clear()
    [factory] = factories
    asked = []

    def answer(request):
        asked.append(request.extensions["timeout"])
        return httpx2.Response(200)

    with factory() as made:
        assert 0 < made.timeout.connect <= 60 and 0 < made.timeout.read <= 600 and made.timeout.write
        made._transport = httpx2.MockTransport(answer)
        made.get("http://hub", timeout=None)
        made.get("http://hub", timeout=3)
    unbounded, own = asked
    assert unbounded == made.timeout.as_dict() and own["read"] == 3


def test_a_hub_that_never_answers_is_given_up_by_whatever_asks_it(monkeypatch):
    monkeypatch.setattr(repositories, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("chat.hub.cards.own_token", lambda: "hf_token")
    repositories._bound_waiting.cache_clear()
    try:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
            monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
            with pytest.raises(UserError, match=r"the Hub cannot be reached \(timed out\)"):
                cards.changeable_card(Destination(CHAT))
    finally:
        repositories._bound_waiting.cache_clear()
        set_client_factory(default_client_factory)


def test_a_repository_is_made_private_and_what_differs_from_what_is_wanted_is_said_once(
    client, caplog, monkeypatch
):
    monkeypatch.setattr("chat.hub.repositories.own_token", lambda: "hf_token")
    repositories.make_ready(Destination(CHAT))
    assert client.create_repo.call_args.kwargs["private"] is True and not caplog.messages
    repositories.make_ready(Destination(CHAT, public=True))
    assert client.create_repo.call_args.kwargs["private"] is False
    repositories.make(Destination(CHAT, public=True))
    assert caplog.messages == [
        f"--push-to-hub {CHAT}: is private and stays so; its settings on the Hub can change that"
    ]
    client.repo_info.return_value.private = False
    repositories.make(Destination(CHAT, public=True))
    with pytest.raises(UserError, match="is public on the Hub"):
        repositories.make(Destination(CHAT))
    assert len(caplog.messages) == 1


def test_a_card_is_changed_only_where_nobody_has_changed_it_meanwhile(client):
    cards.change_card(Destination(CHAT), lambda _: "# Ours", message="Card", again="again")
    assert client.create_commit.call_args.kwargs["parent_commit"] == "c0ffee"


def test_a_folder_whose_card_is_merged_is_published_only_on_what_was_read(client, tmp_path):
    (tmp_path / "README.md").write_text("# Ours")
    given = {"message": "Model", "merge_card": lambda there, ours: ours}
    publishing.publish_folder(tmp_path, Destination(CHAT), **given)
    assert client.create_commit.call_args.kwargs["parent_commit"] == "c0ffee"


def changes_of(client) -> tuple[set[str], set[str]]:
    """What the last commit adds, and what it takes away."""
    operations = client.create_commit.call_args.kwargs["operations"]
    added = {each.path_in_repo for each in operations if isinstance(each, CommitOperationAdd)}
    return added, {each.path_in_repo for each in operations} - added


def test_a_model_takes_the_place_of_an_older_one_and_of_nothing_else(client, tmp_path):
    for path in ("config.json", "README.md", ".git/config.json", "openvino/.notes", "optimizer.pt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("{}")
    theirs = ["README.md", "picture.png", "demo/old.json"]
    client.list_repo_files.return_value = [*theirs, "config.json", "old.json", "openvino/old.xml"]
    publishing.publish_model(tmp_path, Destination(CHAT), message="Model")
    assert client.create_repo.called and client.create_commit.call_args.kwargs["revision"] == "main"
    assert changes_of(client) == ({"config.json", "README.md"}, {"old.json", "openvino/old.xml"})


def test_on_a_branch_what_is_to_stay_stays(client, tmp_path):
    (tmp_path / "checkpoint-6").mkdir()
    (tmp_path / "checkpoint-6" / "run.json").touch()
    client.list_repo_files.return_value = ["README.md", "checkpoint-2/run.json", "checkpoint-4/run.json"]
    publishing.commit_files(
        Destination(CHAT),
        publishing.additions_of(tmp_path),
        message="Checkpoint",
        ours=("checkpoint-*/*",),
        but=("checkpoint-4/*",),
        revision="checkpoints",
    )
    assert client.list_repo_files.call_args.kwargs["revision"] == "checkpoints"
    assert client.create_commit.call_args.kwargs["revision"] == "checkpoints"
    assert changes_of(client) == ({"checkpoint-6/run.json"}, {"checkpoint-2/run.json"})


def test_it_is_tried_again_after_growing_pauses_but_not_for_ever(pauses):
    tries = []

    def fail():
        tries.append(1)
        raise ConnectionError("down")

    told = r"^--push-to-hub someone/chat: it is not there \(down\); try again, then start again$"
    with pytest.raises(UserError, match=told):
        publishing.persistently(
            fail, Destination(CHAT), undone="it is not there", again="start again", attempts=8
        )
    assert pauses == [2, 4, 8, 16, 32, 60, 60] and len(tries) == 8


def test_it_is_tried_again_when_the_hub_says(pauses):
    answer = httpx2.Response(
        429, headers={"Retry-After": "100"}, request=httpx2.Request("POST", "https://hub/api/models")
    )
    action = MagicMock(side_effect=[HfHubHTTPError("too many", response=answer), ConnectionError("down"), 7])
    assert publishing.persistently(action, Destination(CHAT), undone="it is not there") == 7
    assert pauses == [100, 4]


def test_a_card_that_says_the_same_is_no_commit_and_is_read_as_of_the_commit_that_was_seen(client, tmp_path):
    (tmp_path / "README.md").write_text("# Mine")
    client.repo_info.return_value.siblings = [SimpleNamespace(rfilename="README.md")]
    client.hf_hub_download.return_value = str(tmp_path / "README.md")
    cards.change_card(Destination(CHAT), lambda there: there, message="Card", again="again")
    assert client.hf_hub_download.call_args.kwargs["revision"] == "c0ffee"
    assert not client.create_commit.called


def test_a_card_is_changeable_by_a_token_that_may_write(client, monkeypatch):
    monkeypatch.setattr("chat.hub.cards.own_token", lambda: None)
    with pytest.raises(UserError, match=r"^--push-to-hub someone/chat: no token; set HF_TOKEN to a token"):
        cards.changeable_card(Destination(CHAT))
    monkeypatch.setattr("chat.hub.cards.own_token", lambda: "hf_token")
    assert cards.changeable_card(Destination(CHAT)).commit == "c0ffee"
    assert client.auth_check.call_args.kwargs["write"] is True
    client.auth_check.side_effect = PermissionError("not yours")
    with pytest.raises(UserError, match=r"^--push-to-hub someone/chat: not yours; mend that$"):
        cards.changeable_card(Destination(CHAT))


def test_files_are_known_by_the_checksums_of_those_that_the_hub_keeps_apart(client):
    large = SimpleNamespace(path="model.safetensors", lfs=SimpleNamespace(sha256="c0ffee"))
    client.get_paths_info.return_value = [large, SimpleNamespace(path="config.json", lfs=None)]
    found = cards.checksums(Destination(CHAT), ["model.safetensors", "config.json"])
    assert found == {"model.safetensors": "c0ffee", "config.json": ""}


def test_a_tag_is_set_on_its_commit_and_never_moved(client):
    client.list_repo_refs.return_value.tags = [SimpleNamespace(name="v1", target_commit="c0ffee00")]
    repositories.set_tag(Destination(CHAT), "v1", "c0ffee00")
    told = r"^--hub-tag v1: someone/chat has this tag on another commit \(c0ffee00\)"
    with pytest.raises(UserError, match=told):
        repositories.set_tag(Destination(CHAT), "v1", "decade00")
    assert not client.create_tag.called
    repositories.set_tag(Destination(CHAT), "v2", "decade00")
    client.create_tag.assert_called_once_with(repo_id=CHAT, repo_type="model", tag="v2", revision="decade00")


@pytest.mark.parametrize("error", [RepositoryNotFoundError, RevisionNotFoundError])
def test_where_there_is_no_such_branch_or_repository_there_are_no_files(client, error):
    answer = httpx2.Response(404, request=httpx2.Request("GET", "https://hub/api/models/someone/chat"))
    client.list_repo_files.side_effect = error("404", response=answer)
    assert repositories.files_on(Destination(CHAT), "checkpoints") == []
    client.list_repo_files.side_effect = ConnectionError("down")
    with pytest.raises(ConnectionError):
        repositories.files_on(Destination(CHAT), "checkpoints")


def test_a_branch_is_begun_once_and_listed_and_read_as_that_branch(client, tmp_path):
    repositories.make_branch(Destination(CHAT), "checkpoints")
    assert client.create_branch.call_args.kwargs["exist_ok"] is True
    repositories.files_on(Destination(CHAT), "checkpoints")
    assert client.list_repo_files.call_args.kwargs["revision"] == "checkpoints"
    repositories.download(Destination(CHAT), "checkpoints", tmp_path, allow=("checkpoint-4/run.json",))
    client.snapshot_download.assert_called_once_with(
        repo_id=CHAT,
        repo_type="model",
        revision="checkpoints",
        local_dir=tmp_path,
        allow_patterns=["checkpoint-4/run.json"],
    )


def test_whether_one_may_write_is_asked_before_the_work_and_what_fails_for_good_is_an_error(
    client, monkeypatch
):
    monkeypatch.setattr("chat.hub.repositories.own_token", lambda: "hf_token")
    client.auth_check.side_effect = ConnectionError("down")
    assert repositories.make_ready(Destination(CHAT)).reason == "down"
    assert client.auth_check.call_args.kwargs["write"] is True
    client.auth_check.side_effect = PermissionError("not yours")
    with pytest.raises(UserError, match=r"^--push-to-hub someone/chat: not yours; mend that$"):
        repositories.make_ready(Destination(CHAT))


@pytest.mark.usefixtures("pauses")
def test_a_tag_that_fails_is_told_apart_from_the_files_that_are_there(client, tmp_path):
    client.list_repo_refs.return_value.tags = []
    client.create_tag.side_effect = [ConnectionError("down"), ValueError("no tag")]
    told = "m is on the Hub, but without the tag v1 .no tag.; mend that, then give the same command again"
    with pytest.raises(UserError, match=told):
        publishing.publish_folder(tmp_path, Destination(CHAT), message="Model", tag="v1", what="m")
    assert client.create_commit.call_count == 1 and client.create_tag.call_count == 2


def test_what_git_takes_for_no_tags_name_is_refused():
    for tag in ("v1.0", "2026-11-29", "release/1", "été", "v1@home"):
        repositories.check_tag_name(tag)
    refused = r"-v1 .v1 v1. a..b a~1 a^ a:b a? a* a[b a\b @ /a a/ a//b a/.b a.lock a.lock/b a@{b"
    for tag in (*refused.split(), "", "v1 final", "a\x7f"):
        with pytest.raises(UserError, match=r"^--hub-tag .*: cannot be a tag's name; give one such as v1.0$"):
            repositories.check_tag_name(tag)


@pytest.mark.parametrize("there", ["user/old", None, "user/new"])
def test_a_spaces_variable_is_set_only_where_it_changes_since_the_space_restarts(client, there):
    found = {"MODEL_ID": SimpleNamespace(value=there)} if there else {}
    client.get_space_variables.return_value = found
    set_variable(Destination(CHAT, "space"), "MODEL_ID", "user/new")
    asked = [] if there == "user/new" else [call(CHAT, "MODEL_ID", "user/new")]
    assert client.add_space_variable.call_args_list == asked


def test_a_space_of_ones_own_is_made_before_the_work_and_anothers_is_refused(client, monkeypatch):
    monkeypatch.setattr("chat.hub.repositories.own_token", lambda: "hf_token")
    space = Destination(CHAT, "space")
    make_space_ready(space, "ours")
    client.create_repo.assert_called_once()
    client.repo_info.return_value.siblings = [SimpleNamespace(rfilename="app.py")]
    with pytest.raises(UserError, match="someone/chat: is another Space"):
        make_space_ready(space, "ours")
    client.auth_check.side_effect = ConnectionError("down")
    with pytest.raises(UserError, match="someone/chat: down"):
        make_space_ready(space, "ours")


@pytest.mark.usefixtures("pauses")
def test_a_page_that_starts_waits_not_long_for_a_hub_that_is_down(client, monkeypatch, tmp_path):
    monkeypatch.setattr("chat.hub.repositories.own_token", lambda: "hf_token")
    client.create_repo.side_effect = ConnectionError("down")
    with pytest.raises(UserError, match="then start again, or unset FEEDBACK_DATASET"):
        feedback_scheduler("someone/talks", tmp_path / "kept.jsonl", 5, "FEEDBACK_DATASET")
    assert client.create_repo.call_count == 1 + ATTEMPTS_AT_START
