"""What the page says that the model has learnt from."""

import json

from chat.page.about import corpora_of, note


def test_the_corpora_are_those_of_the_models_statistics(tmp_path):
    assert corpora_of(str(tmp_path)) == []
    (tmp_path / "stats.json").write_text(json.dumps({"corpora": {"cornell": {}, "my talks": {}}}))
    assert corpora_of(str(tmp_path)) == ["cornell", "my talks"]
    assert "film scripts (Cornell Movie-Dialogs) and my talks" in note(corpora_of(str(tmp_path)))
    (tmp_path / "stats.json").write_text("[]")
    assert corpora_of(str(tmp_path)) == []


def test_a_hub_that_fails_costs_a_sentence_and_no_more():
    assert corpora_of("user/not-there") == []
