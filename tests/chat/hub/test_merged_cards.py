"""Two cards made one: figures are brought up to date, and nothing that somebody else wrote is lost."""

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from chat.cli import UserError
from chat.hub.merged_cards import OwnPart, merged_card

OWN_PART = OwnPart("<!-- Written by us", "<!-- End of ours. -->")


def card(text: str, *results: EvalResult, **data) -> str:
    index = {"model_name": "m", "eval_results": [*results]} if results else {}
    return str(ModelCard(f"---\n{ModelCardData(**data, **index).to_yaml()}\n---\n{text}"))


def result(value: float, metric: str = "perplexity", dataset: str = "talks") -> EvalResult:
    return EvalResult("text-generation", dataset, dataset, metric, value, metric_name=metric)


def ours(body: str) -> str:
    return f"\n{OWN_PART.begin}: mind. -->\n{body}\n\n{OWN_PART.end}\n"


@pytest.mark.parametrize("there", [None, "", " \n"])
def test_without_a_card_it_is_ours(there):
    rendered = card(ours("# New"), result(3.0))
    assert merged_card(there, rendered, OWN_PART) == rendered


@pytest.mark.parametrize("text", ["", "\n"])
def test_metadata_without_a_text_gets_ours(text):
    """As the Hub writes them where somebody picks a licence for a new repository."""
    rendered = card(ours("# New"), license="other", license_name="terms")
    merged = ModelCard(merged_card(f"---\nlicense: mit\n---\n{text}", rendered, OWN_PART))
    assert merged.text.strip() == ours("# New").strip()
    assert merged.data.to_dict() == {"license": "mit"}
    bare = ModelCard(merged_card("---\ntags: [x]\n---\n", rendered, OWN_PART)).data.to_dict()
    assert bare == {"tags": ["x"], "license": "other", "license_name": "terms"}


def test_what_we_do_not_know_takes_nothing_away():
    there = card("# Mine", base_model="user/base", configs=[{"config_name": "old"}])
    rendered = card(ours("# New"), configs=[{"config_name": "new"}])
    data = ModelCard(merged_card(there, rendered, OWN_PART, ["base_model", "configs"])).data.to_dict()
    assert data == {"base_model": "user/base", "configs": [{"config_name": "new"}]}


def test_of_our_card_what_stands_outside_the_marks_stays():
    there = card("# Hello\n" + ours("# Old") + "\n## Thanks\nTo my cat.\n", license="mit")
    merged = ModelCard(merged_card(there, card(ours("# New")), OWN_PART))
    assert "# Old" not in merged.text
    assert merged.text.split() == ("# Hello" + ours("# New") + "## Thanks To my cat.").split()
    again = merged_card(str(merged), card(ours("# New")), OWN_PART)
    assert again == str(merged)


def test_a_card_that_says_the_same_stays_to_the_byte():
    rendered = card("# Hello" + ours("# New").rstrip(), license="other", tags=["x"])
    assert merged_card(rendered, rendered, OWN_PART) == rendered


def test_a_card_of_ours_without_an_end_is_ours_to_its_end():
    there = card(f"{OWN_PART.begin}: mind. -->\n# Old\n")
    assert ModelCard(merged_card(there, card(ours("# New")), OWN_PART)).text.strip() == ours("# New").strip()


def test_anothers_text_stays_whole():
    text = "# Mine\nI wrote this.\n"
    merged = ModelCard(merged_card(card(text), card(ours("# New"), result(3.0)), OWN_PART))
    assert merged.text == text and [each.metric_value for each in merged.data.eval_results] == [3.0]


def test_figures_of_the_same_metric_on_the_same_data_are_replaced_and_others_stay():
    there = card("# Mine", result(9.0), result(0.4, "hits_at_1"), result(7.0, dataset="other"))
    merged = ModelCard(merged_card(there, card(ours("# New"), result(3.0), result(0.1, "f1")), OWN_PART))
    found = {(each.dataset_name, each.metric_type): each.metric_value for each in merged.data.eval_results}
    assert found == {
        ("talks", "perplexity"): 3.0,
        ("talks", "hits_at_1"): 0.4,
        ("other", "perplexity"): 7.0,
        ("talks", "f1"): 0.1,
    }


def test_metadata_of_others_stays_lists_are_joined_and_what_is_ours_to_say_is_said():
    old = {"license": "mit", "tags": ["mine"], "datasets": "mine/data", "base_model": "old", "thumbnail": "x"}
    new = {"license": "other", "license_name": "terms", "tags": ["conversational"], "datasets": ["a/b"]}
    rendered = card(ours("# New"), **new, base_model="new", pipeline_tag="text-generation")
    data = ModelCard(merged_card(card("# Mine", **old), rendered, OWN_PART, ["base_model"])).data.to_dict()
    assert data["tags"] == ["mine", "conversational"] and data["datasets"] == ["mine/data", "a/b"]
    assert data["license"] == "mit" and data["base_model"] == "new" and data["thumbnail"] == "x"
    assert data["pipeline_tag"] == "text-generation"
    own = ["license", "license_name"]
    data = ModelCard(
        merged_card(str(rendered), card(ours("# New"), license="mit"), OWN_PART, own)
    ).data.to_dict()
    assert data["license"] == "mit" and "license_name" not in data


def test_what_a_licence_is_called_is_lost_only_with_the_licence():
    """Its name is said beside `other` alone, and is ours to say where ours to say is which licence it is."""
    named = {"license": "other", "license_name": "mine"}
    rendered, own = card(ours("# New"), tags=["x"]), ["license", "license_name"]
    merged = merged_card(card("# Mine", **named), rendered, OWN_PART)
    assert metadata_of(merged) == {**named, "tags": ["x"]}
    rendered = card(ours("# New"), license="other", license_name="terms")
    merged = merged_card(card("# Mine", license="other"), rendered, OWN_PART)
    assert metadata_of(merged) == {"license": "other", "license_name": "terms"}
    assert metadata_of(
        merged_card(card("# Mine", **named), card(ours("# New"), license="mit"), OWN_PART, own)
    ) == {"license": "mit"}


@pytest.mark.parametrize(
    "there", ["---\n- a\n---\n# Mine", "---\na: [\n---\n# Mine", "---\nday: 2026-02-30\n---\n# Mine"]
)
def test_metadata_that_cannot_be_read_is_not_lost(there):
    with pytest.raises(UserError, match="metadata cannot be read"):
        merged_card(there, card(ours("# New")), OWN_PART)


def index(name: str, *metrics: dict) -> dict:
    where = {"task": {"type": "text-generation"}, "dataset": {"type": "talks", "name": "talks"}}
    return {"name": name, "results": [{**where, "metrics": [*metrics]}]}


def metadata_of(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_figures_stay_under_the_name_of_the_model_that_they_are_of():
    perplexity, other = (
        {"type": "perplexity", "value": 9.0, "stderr": 0.1},
        {"type": "f1", "value": 0.2, "x": 1},
    )
    old = [index("another", perplexity, other), "strange", index("m", perplexity, other)]
    there = f"---\n{yaml.safe_dump({'model-index': old})}---\n# Mine"
    rendered = card(ours("# New"), EvalResult("text-generation", "talks", "talks", "perplexity", 3.0))
    merged = merged_card(there, rendered, OWN_PART)
    mine = index("m", other, {"type": "perplexity", "value": 3.0})
    assert metadata_of(merged) == {"model-index": [*old[:2], mine]}
    assert merged_card(merged, rendered, OWN_PART) == merged
    alone = merged_card("---\nmodel-index:\n- name: another\n---\n# Mine", rendered, OWN_PART)
    assert [each["name"] for each in metadata_of(alone)["model-index"]] == ["another", "m"]


@pytest.mark.parametrize("key", ["name", "config", "args"])
def test_a_figure_by_another_form_of_the_metric_stays(key):
    another = {"type": "perplexity", "value": 9.0, key: "of words"}
    there = f"---\n{yaml.safe_dump({'model-index': [index('m', another)]})}---\n# Mine"
    rendered = card(ours("# New"), EvalResult("text-generation", "talks", "talks", "perplexity", 3.0))
    merged = merged_card(there, rendered, OWN_PART)
    assert metadata_of(merged)["model-index"] == [index("m", another, {"type": "perplexity", "value": 3.0})]


@pytest.mark.parametrize("key", ["task", "dataset", "source"])
def test_a_figure_of_another_task_on_other_data_or_from_another_source_stays(key):
    another = index("m", {"type": "perplexity", "value": 9.0})
    another["results"][0][key] = {"type": "another", "name": "another"}
    there = f"---\n{yaml.safe_dump({'model-index': [another]})}---\n# Mine"
    rendered = card(ours("# New"), EvalResult("text-generation", "talks", "talks", "perplexity", 3.0))
    [model] = metadata_of(merged_card(there, rendered, OWN_PART))["model-index"]
    assert model["results"][0] == another["results"][0] and len(model["results"]) == 2


def test_a_figure_that_stands_twice_is_replaced_in_both_places_and_what_else_is_said_of_the_model_stays():
    old, new = ({"type": "perplexity", "value": value} for value in (9.0, 3.0))
    other = {"type": "f1", "value": 0.2}
    model = index("m", old)
    model["results"] += index("m", old, other)["results"]
    there = f"---\n{yaml.safe_dump({'model-index': [model | {'note': 'mine'}]})}---\n# Mine"
    rendered = card(ours("# New"), EvalResult("text-generation", "talks", "talks", "perplexity", 3.0))
    [merged] = metadata_of(merged_card(there, rendered, OWN_PART))["model-index"]
    assert [each["metrics"] for each in merged["results"]] == [[new], [other]] and merged["note"] == "mine"


def test_metadata_that_are_no_strings_stay_as_they_are():
    rendered = card(ours("# New"), tags=["x"], metrics=["f1"])
    there = "---\n1: one\ntags:\n- name: y\nmetrics: [{a: b}, f1]\n---\n# Mine"
    assert metadata_of(merged_card(there, rendered, OWN_PART)) == {
        1: "one",
        "tags": [{"name": "y"}, "x"],
        "metrics": [{"a": "b"}, "f1"],
    }


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_what_does_not_change_stays_to_the_byte_with_all_comments(line_break):
    block = "# Mine\nlanguage: no\nversion: 1.10 # of the day\ntags: [a]\n\n# Who\nauthor: 'me'\n# End"
    rendered = card(ours("# New"), tags=["b"], library_name="transformers")
    there = f"---\n{block}\n---\n# Mine\n".replace("\n", line_break)
    merged = merged_card(there, rendered, OWN_PART)
    expected = block.replace("tags: [a]", "tags:\n- a\n- b") + "\nlibrary_name: transformers"
    assert merged == f"---\n{expected}\n---\n# Mine\n".replace("\n", line_break)


@pytest.mark.parametrize("block", ["{tags: [a], x: &y 1, z: *y}", "tags: &t [a]\nx: 1\nz: *t", "x: 1\nx: 2"])
def test_what_cannot_be_changed_in_its_place_is_written_anew(block):
    merged = metadata_of(merged_card(f"---\n{block}\n---\n# Mine", card("# New", tags=["b"]), OWN_PART))
    assert merged == yaml.safe_load(block) | {"tags": [*yaml.safe_load(block).get("tags", []), "b"]}


@pytest.mark.parametrize(
    "index", ["none", "[{name: m, results: [x]}]", "[{name: m, results: [{metrics: 1}]}]", "{name: m}"]
)
def test_an_index_that_cannot_be_read_is_not_lost(index):
    with pytest.raises(UserError, match="metadata cannot be read"):
        merged_card(f"---\nmodel-index: {index}\n---\n# Mine", card(ours("# New"), result(3.0)), OWN_PART)
