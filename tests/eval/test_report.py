"""`eval.report`: tables, the command, its errors."""

import json
from functools import reduce
from operator import getitem

import pytest

from chat.cli import UserError
from eval.figures import metric
from eval.report import main, render, summary
from eval.results_file import load_replies, load_results
from eval.table import GROUPS, LATENCY
from tests.conftest import refused
from tests.eval.samples import sample_replies, sample_results, sparse_results, write_run
from tests.processes import in_process


def test_the_tables_hold_every_figure_in_reading_order():
    text = render(sample_results())
    first, rest = text.split("### cornell")[0].split("One draft each, unranked:")
    unranked, greedy = rest.split("Greedy replies:")
    assert "| | model | base | base in our template | human |" in first
    assert "| | model | base |\n" in unranked and "| | model | base |\n" in greedy
    labels = [
        each.label for group in ("likelihood", "ranking", "sampled", "latency") for each in GROUPS[group]
    ]
    places = [first.index(f"| {label} |") for label in labels]
    assert places == sorted(places)
    assert all(f"| {each.label} |" in unranked for each in GROUPS["unranked"])
    assert all(f"| {each.label} |" in greedy for each in GROUPS["greedy"])


def test_what_is_called_a_95th_percentile_is_no_less_than_the_median():
    found = metric("latency").compute(predictions=[0.1, 0.2, 1.0], references=[[0.1], [0.2], [0.5]])
    for each in LATENCY:
        is_larger = found[each.key] > found[each.key.replace("_p95", "_p50")]
        assert is_larger == ("95th percentile" in each.name)


def test_intervals_arrows_and_amounts_are_written_out():
    text = render(sample_results())
    assert "| reply perplexity ↓ | 23.40 (22.46 to 24.57) |" in text
    assert "| distinct-1 | 0.290 | 0.290 |  | 0.237 |" in text
    assert "7,801 replies scored (105,512 tokens of the model's), 300 generated." in text
    assert "`openai-community/gpt2` (124,439,808 parameters, revision 607a30d)" in text
    assert "95 % interval" in text


def test_what_a_strangers_results_say_is_text():
    results = sample_results()
    results["models"]["base"]["revision"] = "![\x1b]0;title\x07](//x)"
    assert r"revision !\[�\]0;title�\](//x)" in render(results)


def test_what_a_run_lacks_is_left_out():
    results = sample_results()
    cornell = render(results).split("### cornell")[1]
    assert "| | model | base |\n" in cornell and "hits@1" not in cornell and "Greedy" not in cornell
    assert "900 replies scored (105,512 tokens of the model's).\n" in cornell
    results["figures"] = {"cornell": {"human": {}}}
    assert "95 %" not in render(results) and "900 replies scored." in render(results)


def test_the_reader_is_told_where_a_model_was_measured_in_fewer_positions_than_it_has():
    results = sample_results()
    results["settings"]["positions"] = 128
    assert "positions" not in render(results)
    results["models"]["model"]["positions"], results["models"]["base"]["positions"] = 1024, 128
    assert "The model has 1,024 positions and was measured in 128, as many as the other has" in render(
        results
    )
    assert "The base has" not in render(results)


def test_the_reader_is_told_what_does_not_compare():
    results = sample_results()
    assert "do not" not in render(results) and "quick" not in render(results)
    results |= {"same_reply_ids": False, "settings": {"quick": True}}
    assert "their perplexities do not" in render(results) and "A quick run" in render(results)
    assert "The base is a chat model" not in render(results)
    results["models"]["base"]["chats"] = True
    assert "The base is a chat model itself and reads plain text here" in render(results)


def test_few_figures_have_a_report():
    text = render(sparse_results())
    assert "| reply perplexity ↓ | 106.58 | 8372.13 |  |" in text and "hits@1" not in text
    assert "90 replies scored (1,200 tokens of the model's), 30 generated." in text


def test_the_summary_is_a_part_of_the_report():
    results = sample_results()
    short, whole = summary(results).splitlines(), render(results).splitlines()
    assert set(short) <= set(whole) and len(short) < len(whole)
    assert any(line.startswith("| hits@1 ↑ |") for line in short)
    assert not any(line.startswith("| BLEU") for line in short)


def test_the_command_writes_both_reports_beside_the_results(tmp_path):
    folder = write_run(tmp_path / "run", sample_results(), sample_replies())
    done = in_process(main, "--results", folder)
    assert done.returncode == 0, done.stderr
    table = (folder / "report.md").read_text(encoding="utf-8")
    assert table == render(sample_results()) and table in done.stdout
    first = (folder / "report.html").read_bytes()
    assert first.startswith(b"<!doctype html>")
    assert in_process(main, folder / "results.json").returncode == 0
    assert (folder / "report.html").read_bytes() == first


def test_the_command_reports_errors_in_one_line(tmp_path):
    folder = write_run(tmp_path / "run", sparse_results())
    for flags, problem in (
        ((), "the following arguments are required: --results; see --help"),
        (
            ("--results", "nowhere.json"),
            "--results nowhere.json: No such file or directory; give the results",
        ),
        (("--results", str(folder), "--training-log", str(tmp_path)), "no TensorBoard log there"),
    ):
        failed = in_process(main, *flags)
        assert failed.returncode == 2 and problem in failed.stderr, failed.stderr
        assert failed.stderr.startswith("error: ") and failed.stderr.count("\n") == 1


def without(*path: str) -> dict:
    results = sample_results()
    del place_in(results, path)[path[-1]]
    return results


def changed(value: object, *path: str) -> dict:
    results = sample_results()
    place_in(results, path)[path[-1]] = value
    return results


def place_in(results: dict, path: tuple[str, ...]) -> dict:
    return reduce(getitem, path[:-1], results)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "not results of `python -m eval.run`"),
        ("[]", "not results of `python -m eval.run` (no `format_version`)"),
        ("{}", "not results of `python -m eval.run` (no `format_version`)"),
        ({**sample_results(), "format_version": 9}, "results of format version 9"),
        (without("models", "base"), "not whole results of `python -m eval.run` (KeyError('base'))"),
        (without("data", "cornell"), "not whole results"),
        (without("figures", "cornell", "model", "likelihood", "perplexity", "value"), "not whole results"),
        ({**sample_results(), "figures": {"cornell": 1}}, "not whole results"),
        (changed("12", "models", "model", "parameters"), "not whole results"),
        (changed(None, "models", "base", "name"), "not whole results"),
        (changed([], "data", "cornell", "sha256"), "not whole results"),
        (
            changed("12", "figures", "cornell", "model", "likelihood", "perplexity", "value"),
            "not whole results",
        ),
        pytest.param("[" * 100_000, "not results of `python -m eval.run`", id="nested too deeply"),
    ],
)
def test_what_are_no_results_is_told(content, problem, tmp_path):
    path = tmp_path / "results.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with refused(problem, begins=f"--results {path}: "):
        load_results(path, "--results")


def test_no_replies_are_no_error_but_broken_ones_are(tmp_path):
    folder = write_run(tmp_path, sparse_results())
    assert load_replies(folder / "results.json", "--results") == []
    without_decoding = {"source": "x", "context": [], "human": "Hi.", "model": "Yes.", "base": "No."}
    for broken, problem in (({"source": "x"}, "'context'"), (without_decoding, "ValueError")):
        write_run(tmp_path, sparse_results(), [*sample_replies(2), broken])
        with pytest.raises(
            UserError, match=rf"replies.jsonl: line 3 is no reply .*{problem}.*; evaluate anew"
        ):
            load_replies(folder / "results.json", "--results")


def test_replies_in_another_encoding_are_named_by_their_line_and_not_repeated(tmp_path):
    write_run(tmp_path, sparse_results(), sample_replies(2))
    with open(tmp_path / "replies.jsonl", "ab") as replies:
        replies.write(b'{"human": "caf\xe9"}')
    with pytest.raises(UserError, match=r"replies.jsonl: line 3 is no reply .*'utf-8' codec") as error:
        load_replies(tmp_path / "results.json", "--results")
    assert "caf" not in str(error.value)
