"""What the Hub's client is asked to do with repositories, without a Hub."""

import socket
from types import SimpleNamespace
from unittest.mock import MagicMock

import httpx2
import pytest
from huggingface_hub import set_client_factory
from huggingface_hub.utils._http import default_client_factory

from chat.cli import UserError
from chat.hub import cards, publishing, repositories
from chat.hub.repositories import Destination
from chat.space.model import _model_on_hub

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


def test_a_repository_is_made_private_and_what_differs_from_what_is_wanted_is_said(client, caplog):
    repositories.make(Destination(CHAT))
    assert client.create_repo.call_args.kwargs["private"] is True and not caplog.messages
    repositories.make(Destination(CHAT, public=True))
    assert client.create_repo.call_args.kwargs["private"] is False
    assert caplog.messages == [
        f"--push-to-hub {CHAT}: is private and stays so; its settings on the Hub can change that"
    ]
    client.repo_info.return_value.private = False
    repositories.make(Destination(CHAT, public=True))
    with pytest.raises(UserError, match="is public on the Hub"):
        repositories.make(Destination(CHAT))
    assert len(caplog.messages) == 1


def test_a_card_is_changed_only_where_nobody_has_changed_it_meanwhile(client):
    assert cards.change_card(Destination(CHAT), lambda _: "# Ours", message="Card", again="again")
    assert client.create_commit.call_args.kwargs["parent_commit"] == "c0ffee"


def test_a_folder_whose_card_is_merged_is_published_only_on_what_was_read(client, tmp_path):
    (tmp_path / "README.md").write_text("# Ours")
    given = {"message": "Model", "merge_card": lambda there, ours: ours}
    publishing.publish_folder(tmp_path, Destination(CHAT), **given)
    assert client.create_commit.call_args.kwargs["parent_commit"] == "c0ffee"


def test_a_tag_that_fails_is_told_apart_from_the_files_that_are_there(client, tmp_path, monkeypatch):
    monkeypatch.setattr("chat.hub.publishing.time.sleep", lambda _: None)
    client.list_repo_refs.return_value.tags = []
    client.create_tag.side_effect = [ConnectionError("down"), ValueError("no tag")]
    told = "m is on the Hub, but without the tag v1 .no tag.; mend that, then give the same command again"
    with pytest.raises(UserError, match=told):
        publishing.publish_folder(tmp_path, Destination(CHAT), message="Model", tag="v1", what="m")
    assert client.create_commit.call_count == 1 and client.create_tag.call_count == 2


def test_what_git_takes_for_no_tags_name_is_refused():
    for tag in ("v1.0", "2026-11-29", "release/1", "été", "v1@home"):
        repositories.check_tag_name(tag)
    for tag in (
        "v1 final",
        "",
        "-v1",
        ".v1",
        "v1.",
        "a..b",
        "a~1",
        "a^",
        "a:b",
        "a?",
        "a*",
        "a[b",
        "a\\b",
        "@",
    ):
        with pytest.raises(UserError, match=r"^--hub-tag .*: cannot be a tag's name; give one such as v1.0$"):
            repositories.check_tag_name(tag)
    for tag in ("/a", "a/", "a//b", "a/.b", "a.lock", "a.lock/b", "a@{b", "a\x7f"):
        with pytest.raises(UserError, match="cannot be a tag's name"):
            repositories.check_tag_name(tag)


@pytest.mark.parametrize(
    ("private", "gated", "is_private"),
    [(False, False, False), (True, False, True), (False, "manual", True), (False, "auto", True)],
)
def test_a_gated_model_is_shown_to_some_people_only_too(client, private, gated, is_private):
    client.model_info.return_value = SimpleNamespace(private=private, gated=gated, card_data=None)
    assert _model_on_hub(CHAT, "--model").is_private is is_private
