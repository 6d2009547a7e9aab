"""What the page says that the model has learnt from."""

import json

from chat.page.about import corpora_of, note, subtitle


def test_the_corpora_are_those_of_the_models_statistics(tmp_path):
    assert corpora_of(str(tmp_path)) == []
    (tmp_path / "stats.json").write_text(json.dumps({"corpora": {"cornell": {}, "my talks": {}}}))
    assert corpora_of(str(tmp_path)) == ["cornell", "my talks"]
    assert "film scripts (Cornell Movie-Dialogs) and my talks" in note(corpora_of(str(tmp_path)))
    (tmp_path / "stats.json").write_text("[]")
    assert corpora_of(str(tmp_path)) == []


def test_whoever_made_the_model_has_no_markup_on_the_page():
    given = note(["cornell", "<img src=https://example.com/1.png>", "![of mine](https://example.com/2.png)"])
    assert r"&lt;img src" in given and r"!\[of mine\](" in given and "film scripts (Cornell" in given
    assert r"**my\*model**" in subtitle("my*model")


def test_visitors_are_not_told_the_folders_of_the_machine():
    assert "**model**" in subtitle("/home/alice/model") and "**user/model**" in subtitle("user/model")


def test_a_hub_that_fails_costs_a_sentence_and_no_more():
    assert corpora_of("user/not-there") == []
