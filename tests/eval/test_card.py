"""`eval.card`: every figure of a card is in what it was rendered from; its metadata; odd names."""

import re
import shutil
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from chat.markdown import code_span, escaped
from data_scripts.corpora import LOADERS
from eval.card_data import PUBLISHED, corpus_and_split
from eval.card_rendering import TEMPLATE, render_card
from eval.model_folder import load_statistics, read_model_folder
from eval.report import corpus_tables
from eval.table import GROUPS, INTERVALS
from tests.eval.samples import HOSTILE, sample_results, sparse_results

# Digits of the template that are no figures: a name, a licence, the publications. Nothing else may pass.
PUBLICATIONS = {
    "radford2019language": 2019,
    "danescu2011chameleons": 2011,
    "zhang2018personalizing": 2018,
    "li2017dailydialog": 2017,
    "xu2022beyond": 2022,
    "rafailov2023direct": 2023,
}
YEARS = [f"year = {{{year}}}" for year in PUBLICATIONS.values()]
CONSTANTS = ["GPT-2", "CC BY-NC-SA 4.0", INTERVALS, *PUBLICATIONS, *YEARS]
FIGURE_NAMES = [name for group in GROUPS.values() for each in group for name in (each.name, each.key)]
NUMBER = re.compile(r"\d(?:[\d,]*\d)?(?:\.\d+)?(?:e[+-]?\d+)?")


def values_in(source) -> list:
    """All keys, strings and numbers in nested dicts and lists."""
    if isinstance(source, dict):
        return [found for item in source.items() for found in values_in(list(item))]
    if isinstance(source, list | tuple):
        return [found for item in source for found in values_in(item)]
    return [source]


def unexplained(text: str, *sources) -> list[str]:
    """The numbers in a card that none of its sources has, at the precision they are written with."""
    found = [value for source in sources for value in values_in(source)]
    numbers = {abs(value) for value in found if isinstance(value, int | float)}
    names = [value for value in found if isinstance(value, str) and re.search(r"[^\W\d]", value)]
    text = re.sub(r"```python\n.*?```", "", text, flags=re.DOTALL)
    for name in sorted({*names, *CONSTANTS, *FIGURE_NAMES}, key=len, reverse=True):
        if re.search(r"\d", name):
            text = re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w)", " ", text)
    return [token for token in NUMBER.findall(text) if not is_one_of(numbers, token.replace(",", ""))]


def is_one_of(numbers: set, token: str) -> bool:
    decimals = len(token.partition(".")[2])
    return any(
        number == float(token) or (decimals and f"{number:.{decimals}f}" == token) for number in numbers
    )


@pytest.fixture
def model(trained_folder):
    return read_model_folder(str(trained_folder), "--model")


@pytest.fixture
def statistics(prepared):
    return load_statistics(str(prepared), "--data")


def sources(results, model, statistics=None) -> list:
    of_folder = (model.train_arguments, model.trainer_state, model.prefer_arguments, model.prefer_state)
    return [results, *of_folder, model.sizes, model.positions, statistics]


CASES = {
    "version 2": sample_results(),
    "few figures": sparse_results(),
    "quick, other tokenizers": {
        **sample_results(),
        "same_reply_ids": False,
        "settings": {"quick": True, "max_dialogues": 60, "share": {"cornell": 0.1}, "splits": ["val"]},
    },
}


@pytest.mark.parametrize("row", ["model", "base"])
@pytest.mark.parametrize("with_statistics", [True, False])
@pytest.mark.parametrize("results", CASES.values(), ids=CASES)
def test_every_number_is_one_of_its_sources(results, with_statistics, row, model, statistics):
    given = statistics if with_statistics else None
    text = str(render_card(results, model, given, model_id="user/model-7", row=row))
    assert unexplained(text, *sources(results, model, given), "user/model-7") == []
    for source in results["figures"]:
        assert "\n".join(corpus_tables(results, source)) in text
    assert "\n\n\n" not in text and "built-in" not in text and "Undefined" not in text


@pytest.mark.parametrize(
    "claim", ["Its perplexity is 17.31.", "Rated by 4,096 people.", "| BLEU | 0.4321 |", "97 % safe", "1e-9"]
)
def test_a_made_up_number_in_the_template_is_found(claim, model, tmp_path, monkeypatch):
    template = tmp_path / "model_card.md"
    template.write_text(TEMPLATE.read_text(encoding="utf-8") + f"\n{claim}\n", encoding="utf-8")
    monkeypatch.setattr("eval.card_rendering.TEMPLATE", template)
    results = sample_results()
    text = str(render_card(results, model, model_id="m"))
    assert unexplained(text, *sources(results, model)) == NUMBER.findall(claim)


def test_a_chat_model_as_base_is_said_to_read_plain_text_not_to_be_new_to_the_chat_format(model):
    results = sample_results()
    assert "chat format, which it was not trained on, and in" in str(
        render_card(results, model, model_id="m")
    )
    results["models"]["base"]["chats"] = True
    text = str(render_card(results, model, model_id="m"))
    assert "the base got the chat format and in" in text and "reads plain text here" in text


def test_a_number_of_other_results_is_found(model):
    other = sample_results(scale=1.7)
    found = unexplained(str(render_card(other, model, model_id="m")), *sources(sample_results(), model))
    assert {"39.78", "39.779999999999994"} <= set(found)


def test_the_template_uses_no_name_that_it_is_not_given(model, statistics, monkeypatch):
    from jinja2 import Environment, meta

    given = {}
    monkeypatch.setattr(ModelCard, "from_template", lambda data, **names: given.update(names))
    render_card(sample_results(), model, statistics, model_id="m")
    template = Environment().parse(TEMPLATE.read_text(encoding="utf-8"))
    assert meta.find_undeclared_variables(template) <= {*given, "card_data", "license", "language"}


def test_the_metadata_parses_and_its_figures_are_those_of_the_results(model, tmp_path):
    results = sample_results()
    results["settings"]["splits"] = ["val"]
    path = tmp_path / "README.md"
    path.write_text(str(render_card(results, model, model_id="user/model", license="mit")), encoding="utf-8")
    data = ModelCard.load(path).data
    assert (data.model_name, data.license, data.language) == ("user/model", "mit", "en")
    assert data.base_model == "openai-community/gpt2" and data.pipeline_tag == "text-generation"
    found = {(each.dataset_name, each.metric_type): each for each in data.eval_results}
    for (corpus, key), each in found.items():
        groups = results["figures"][corpus]["model"].values()
        [entry, *_] = (group[key] for group in groups if key in group)
        assert each.metric_value == entry["value"] and each.dataset_split == "val"
        assert each.task_type == "text-generation"
    assert {key for corpus, key in found if corpus == "personachat"} == {key for _, key in PUBLISHED}
    assert {key for corpus, key in found if corpus == "cornell"} == {"perplexity", "bits_per_byte"}
    assert set(data.metrics) == {key for _, key in PUBLISHED}


@pytest.mark.parametrize("row", ["model", "base"])
def test_of_replies_that_were_not_generated_nothing_is_told(model, row):
    """As after `eval.run --generated-replies 0`."""
    results = sample_results()
    assert "a column `human` holds" in str(render_card(results, model, model_id="m", row=row))
    del results["figures"]["personachat"]["human"]
    text = str(render_card(results, model, model_id="m", row=row))
    assert "column `human`" not in text and "replies were drawn" not in text
    assert re.search(r"(called base here|parameters\))\. Only the words of the replies are scored", text)


def test_the_column_of_the_base_in_the_chat_format_is_explained(model):
    for results, has_column in ((sample_results(), True), (sparse_results(), False)):
        text = str(render_card(results, model, model_id="m"))
        assert ("| base in our template |" in text) is has_column
        assert ("In the column `base in our template` the base got the chat format" in text) is has_column


def test_corpora_by_split_stay_apart_and_what_is_not_finite_is_left_out(model):
    results = sample_results()
    results["settings"]["splits"] = ["train", "val"]
    for place in ("figures", "data"):
        results[place] = {f"cornell {split}": results[place]["cornell"] for split in ("train", "val")}
    results["figures"]["cornell train"] = {
        "model": {"likelihood": {"perplexity": {"value": float("inf")}, "bits_per_byte": {"value": 2.5}}}
    }
    found = render_card(results, model, model_id="m").data.eval_results
    assert [(each.dataset_name, each.dataset_split, each.metric_type) for each in found] == [
        ("cornell", "train", "bits_per_byte"),
        ("cornell", "val", "perplexity"),
        ("cornell", "val", "bits_per_byte"),
    ]


def test_a_corpus_of_several_splits_is_of_none_for_certain():
    results = {"settings": {"splits": ["train", "val"]}}
    assert corpus_and_split("cornell", results) == ("cornell", None)
    assert corpus_and_split("cornell val", results) == ("cornell", "val")
    assert corpus_and_split("cornell", {"settings": {"splits": ["val"]}}) == ("cornell", "val")


def test_a_loss_that_is_no_number_is_never_the_best(model):
    log = [{"eval_loss": loss, "step": step} for step, loss in enumerate((float("nan"), 2.0, 3.0))]
    found = replace(model, trainer_state={"log_history": [{"loss": 1.0, "step": 9}, *log]})
    assert found.lowest_validation_loss() == {"eval_loss": 2.0, "step": 1}
    assert replace(model, trainer_state={"log_history": log[:1]}).lowest_validation_loss() is None


def test_without_figures_of_the_model_there_is_no_model_index(model):
    results = sample_results()
    results["figures"] = {"cornell": {"base": results["figures"]["cornell"]["base"]}}
    data = render_card(results, model, model_id="m").data.to_dict()
    assert not {"model-index", "model_name", "metrics"} & set(data)


def test_a_run_without_human_replies_has_a_card(model):
    results = sparse_results()
    del results["figures"]["cornell"]["human"]
    assert "| | model | base |\n" in str(render_card(results, model, model_id="m"))


def test_what_the_folder_does_not_hold_is_said_to_be_unknown(model):
    bare = replace(model, train_arguments={}, trainer_state={}, positions=None, sizes={})
    written = render_card(sample_results(), bare, model_id="m")
    assert (
        "its training settings are not known" in written.text and "does not tell which model" in written.text
    )
    assert "optimizer steps" not in written.text and "training.train" not in written.text
    assert written.data.base_model is None


def test_training_is_told_from_the_folder(model):
    text = render_card(sample_results(), model, model_id="m").text
    assert "| learning_rate | 3e-05 |" in text and "| warmup_steps | 77 |" in text
    assert "output_dir" not in text and "max_steps" not in text
    assert "3,827 optimizer steps" in text and "4.329 nats per token, at step 3,000" in text
    longer = replace(model, train_arguments={**model.train_arguments, "max_steps": 50})
    text = render_card(sample_results(), longer, model_id="m").text
    assert "| max_steps | 50 |" in text and "num_train_epochs" not in text


def test_preference_tuning_is_told_from_the_folder(model):
    arguments = {"marks": "marks.jsonl", "base": "tuned", "output_dir": "runs", "beta": 0.123, "seed": 0}
    tuned = replace(model, prefer_arguments=arguments, prefer_state={"global_step": 345})

    text = str(render_card(sample_results(), tuned, model_id="tuned"))

    assert "| beta | 0.123 |" in text
    assert "in 345 optimizer steps, by these arguments" in text
    assert "training.prefer --config prefer_arguments.json" in text
    assert "rafailov2023direct" in text
    assert "| output_dir |" not in text
    assert unexplained(text, *sources(sample_results(), tuned)) == []
    for told in ("Rafailov", "training.prefer", "readers"):
        assert told not in str(render_card(None, model, model_id="untuned"))


def test_a_chat_model_that_another_was_compared_with_is_no_base(model, statistics, tmp_path):
    assert (model.path / "chat_template.jinja").is_file()
    written = render_card(sample_results(), model, model_id="m", row="base")
    assert "which does not chat" not in written.text and "fine-tuned from it" not in written.text
    assert "It is the column `base`" in written.text and "conversational" in written.data.tags
    folder = shutil.copytree(model.path, tmp_path / "base")
    (folder / "chat_template.jinja").unlink()
    bare = render_card(sample_results(), replace(model, path=folder), model_id="m", row="base")
    assert "which does not chat" in bare.text and bare.data.tags is None
    for plain_text in (True, False):
        told = {**statistics, "options": {**statistics["options"], "plain_text": plain_text}}
        written = render_card(sample_results(), model, told, model_id="m", row="base")
        assert ("which does not chat" in written.text) is plain_text
        assert ("Persona, conversation and reply together" in written.text) is not plain_text
        assert f"at most {model.positions:,} tokens" in written.text


def test_random_weights_are_no_base_model(model):
    base = "training/configs/models/gpt2-7m.json"
    random = replace(model, train_arguments={**model.train_arguments, "base": base})
    written = render_card(sample_results(), random, model_id="m")
    assert f"random weights in the configuration `{base}`" in written.text and "web text" not in written.text
    assert written.data.base_model is None


@pytest.mark.parametrize(
    ("base", "has_read_the_web"), [("distilbert/distilgpt2", True), ("models/pocket-base", False)]
)
def test_only_of_a_base_named_gpt2_it_is_said_what_gpt2_has_read(base, has_read_the_web, model):
    tuned = replace(model, train_arguments={**model.train_arguments, "base": base})
    text = render_card(None, tuned, model_id="m").text
    assert "what its base was trained on" in text and ("web text" in text) is has_read_the_web


def test_paths_of_this_machine_are_not_published(model, tmp_path):
    results = sample_results()
    for role in ("model", "base"):
        results["models"][role]["name"] = str(tmp_path / "private" / role)
    local = {"base": str(tmp_path / "private" / "base"), "data": str(tmp_path), "output_dir": str(tmp_path)}
    text = str(
        render_card(
            results,
            replace(model, train_arguments={**model.train_arguments, **local}),
            model_id="m",
        )
    )
    assert str(tmp_path) not in text and "private" not in text and "`base`" in text


def test_corpora_are_told_from_the_statistics(model, statistics):
    written = render_card(sample_results(), model, statistics, model_id="m")
    counts = statistics["corpora"]["personachat"]["train"]
    assert f"| personachat | train | {counts['dialogues']:,} | {counts['replies']:,} |" in written.text
    assert "| movie-corpus |" in written.text and written.data.datasets is None
    assert "python -m data_scripts.prepare --corpora cornell=movie-corpus" in written.text
    assert "so many times" not in written.text and "copies" not in written.text
    statistics["options"] |= {"corpora": ["cornell", "personachat"], "times": ["cornell=0.5"]}
    statistics["corpora"]["personachat"]["swapped_copies"] = 1234
    written = render_card(sample_results(), model, statistics, model_id="m")
    assert "1,234 of the training dialogues of personachat are copies in which" in written.text
    assert "came so many times: cornell=0.5." in written.text and "--times cornell=0.5" in written.text
    assert written.data.datasets == ["AlekseyKorshuk/persona-chat"] and "public source" in written.text
    assert written.data.eval_results[0].dataset_type == "AlekseyKorshuk/persona-chat"


@pytest.mark.parametrize("name", LOADERS)
def test_every_corpus_that_can_be_prepared_is_described(name, model, statistics):
    statistics["corpora"] = {name: statistics["corpora"]["cornell"]}
    statistics["options"]["corpora"] = [name]
    text = render_card(sample_results(), model, statistics, model_id="m").text
    assert f"(`{name}`) | " in text and "those of its owner" not in text
    assert name in ("jsonl", "persona_questions") or text.count("@inproceedings") == 1
    assert ("| this project |" if name == "persona_questions" else "| the public source |") in text


@pytest.mark.parametrize("name", ["daily_dialog", "personachat"])
def test_who_would_sell_it_is_told_of_the_licence_that_forbids_it(name, model, statistics):
    statistics["corpora"] = {name: statistics["corpora"]["cornell"]}
    statistics["options"]["corpora"] = [name]
    licence = render_card(None, model, statistics, model_id="m").text.partition("## Licence")[2]
    assert ("DailyDialog allows no commercial use." in licence) is (name == "daily_dialog")


@pytest.mark.parametrize(
    "name", [HOSTILE, "a|b_c_ *d* [e](f) #", "`` x `", "two\nlines", '"quoted" \\ Łódź 🙂']
)
def test_odd_names_are_shown_as_they_are_written(name, model, statistics):
    results = sample_results()
    results["models"]["base"]["name"] = name
    for place in ("figures", "data"):
        results[place] = {name: results[place]["cornell"]}
    statistics["corpora"] = {name: statistics["corpora"]["cornell"]}
    statistics["options"]["corpora"] = [f"{name}={name}"]
    odd = replace(model, train_arguments={**model.train_arguments, "base": name, "odd": name})
    for given in (statistics, None):
        written = render_card(results, odd, given, model_id=name)
        assert f"# {escaped(name)}\n" in written.text and f"### {escaped(name)}\n" in written.text
        assert code_span(name) in written.text
        without_code = re.sub(r"(?s)```.*?\n```|(`+).*?(?<!`)\1(?!`)|<!--.*?-->", "", written.text)
        assert not re.search(r"<[a-z/]", without_code)
        for row in re.findall(r"^\|.*\|$", written.text, re.MULTILINE):
            assert "<" not in row
        assert ModelCard(str(written)).data.eval_results[0].dataset_name == name


@pytest.mark.parametrize("row", ["model", "base"])
def test_its_snippets_answer(row, trained_folder, tmp_path, capsys):
    folder = shutil.copytree(trained_folder, tmp_path / "model")
    if row == "base":
        (folder / "chat_template.jinja").unlink()
    text = render_card(
        sample_results(),
        read_model_folder(str(folder), "--model"),
        model_id=str(folder),
        row=row,
    ).text
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(snippets) == (1 if row == "base" else 2)
    for snippet in snippets:
        exec(snippet, {})
        assert capsys.readouterr().out
