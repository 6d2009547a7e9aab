"""A card on the Hub tells the figures of the weights beside it, and of no others."""

import json
import shutil
from hashlib import sha256

import pytest
import yaml

from chat.cli import UserError
from chat.hub.repositories import Destination
from eval import publish_card, publish_model
from tests.conftest import refused

WEIGHTS = "model.safetensors"
MARK = "<!-- Written by `python -m eval.card`"
ON_HUB = sha256(b"these").hexdigest()


def index(name: str, perplexity: int, data: str = "talks") -> dict:
    metric = {"type": "perplexity", "value": perplexity}
    return {"name": name, "results": [{"dataset": {"name": data}, "metrics": [metric]}]}


def card(text: str, *indices: dict, mark: str = MARK) -> str:
    metadata = {"license": "mit"} | ({"model-index": [*indices]} if indices else {})
    return f"---\n{yaml.safe_dump(metadata)}---\n{mark}\n{text}"


def indices(merged: str) -> list[dict]:
    return yaml.safe_load(merged.split("---")[1]).get("model-index", [])


MINE, ANOTHERS = index("someone/chat", 20), index("someone/rival", 30)
THERE, BARE = card("Perplexity: 20", MINE, ANOTHERS), card("Not evaluated.")


@pytest.fixture
def merge(tmp_path, monkeypatch):
    """Merges the card of the weights of these bytes; the Hub's are `these`."""
    monkeypatch.setattr(publish_card, "files_on", lambda *_: ["README.md", WEIGHTS])
    monkeypatch.setattr(publish_card, "checksums", lambda *_: {WEIGHTS: ON_HUB})

    def merge(weights: bytes, there: str | None, ours: str) -> str:
        (tmp_path / WEIGHTS).write_bytes(weights)
        return publish_card.merge_with_model(tmp_path, Destination("someone/chat"), there, ours)

    return merge


def test_a_card_without_figures_replaces_none_of_the_same_weights(merge):
    assert merge(b"these", THERE, BARE) == THERE
    assert merge(b"these", None, BARE) == BARE
    assert "Perplexity: 19" in merge(b"these", THERE, card("Perplexity: 19", index("someone/chat", 19)))


def test_what_an_author_wrote_by_hand_is_taken_as_it_is(merge):
    by_hand = card("By hand.", mark="")
    assert merge(b"these", THERE, by_hand) == by_hand
    merged = merge(b"these", card("By hand.", MINE, mark=""), card("Not evaluated.", mark=f"# Chat\n{MARK}"))
    assert "By hand." in merged and indices(merged) == [MINE]


def test_figures_of_other_weights_go(merge):
    merged = merge(b"others", THERE, BARE)
    assert "Not evaluated." in merged and "Perplexity" not in merged and indices(merged) == [ANOTHERS]
    assert indices(merge(b"others", card("Perplexity: 20", MINE), BARE)) == []
    on_chats = index("someone/chat", 5, data="chats")
    assert indices(merge(b"others", THERE, card("Perplexity: 5", on_chats))) == [ANOTHERS, on_chats]


def as_git_leaves_it_without_lfs(folder):
    (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def one_of_two_parts(folder):
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    parts = {"transformer.wte.weight": "model-00002-of-00002.safetensors"}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": parts}))


def without_words(folder):
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize("damage", [as_git_leaves_it_without_lfs, one_of_two_parts, without_words])
def test_a_model_that_nobody_could_load_is_told_before_the_hub_is_asked(
    model_folder, tmp_path, monkeypatch, damage
):
    monkeypatch.setattr(publish_model, "make_ready", lambda _: pytest.fail("asked"))
    folder = shutil.copytree(model_folder, tmp_path / "model")
    damage(folder)
    with pytest.raises(UserError, match=r"^--model \S+/model: (no usable model|its tokenizer has no words)"):
        publish_model.publish(publish_model.PublishModelArguments(str(folder), "someone/chat"))


def test_a_link_out_of_the_folder_is_told_before_the_hub_is_asked(model_folder, tmp_path, monkeypatch):
    """What a stranger's folder links to would be published as well."""
    monkeypatch.setattr(publish_model, "make_ready", lambda _: pytest.fail("asked"))
    folder, private = shutil.copytree(model_folder, tmp_path / "model"), tmp_path / "private.md"
    private.write_text("Dear diary")
    (folder / "LICENSE").symlink_to(private)
    with refused(f"LICENSE is a link to {private}", begins=f"--model {folder}: "):
        publish_model.publish(publish_model.PublishModelArguments(str(folder), "someone/chat"))
