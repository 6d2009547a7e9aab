"""`eval.compare`: runs in one table per corpus."""

from eval.compare import _names, compare, main
from eval.results_file import results_path
from tests.eval.samples import sample_results, sparse_results, write_run
from tests.processes import in_process, python


def lines_of(text: str, source: str) -> list[str]:
    section = text.split(f"### {source}\n")[1].split("###")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def test_runs_are_sorted_by_bits_per_byte_and_the_best_is_bold():
    text = compare({"weak": sample_results(2.0), "strong": sample_results()})
    first, second = lines_of(text, "personachat")
    assert first.startswith("| strong | **1.210 (1.162 to 1.270)** | **23.40 (22.46 to 24.57)** |")
    assert second.startswith("| weak | 2.420 (2.323 to 2.541) | 46.80 (44.93 to 49.14) | **0.400 ")
    assert len(lines_of(text, "cornell")) == 2
    # Which way is better is not clear of distinct-n: no run is the best.
    assert "| 0.290 | 0.320 |" in first and "| 0.580 | 0.640 |" in second


def test_other_data_is_marked_and_never_the_best():
    other = sample_results(0.5)
    other["data"]["personachat"]["sha256"] = "00" * 32
    text = compare({"other": other, "a": sample_results(), "b": sample_results(2.0)})
    rows = lines_of(text, "personachat")
    assert [row.split(" | ")[0] for row in rows] == ["| a", "| b", "| other \\*"]
    assert "**" not in rows[2] and "**1.210" in rows[0]
    assert "\\* evaluated on other data" in text.split("### cornell")[0]
    assert "evaluated on other data" not in text.split("### cornell")[1]


def test_runs_of_few_figures_stand_beside_others_with_what_they_have():
    text = compare({"old": sparse_results(), "new": sample_results()})
    rows = lines_of(text, "cornell")
    assert any(row.startswith("| old | 1.888 | 106.58 | 0.114 |") for row in rows)
    assert "evaluated on other data" in text


def test_what_compares_only_in_part_is_told():
    other = sample_results(2.0)
    other["figures"]["personachat"]["model"]["likelihood"]["tokens"]["value"] = 1.0
    other["settings"]["decoding"] = {"temperature": 1.0}
    text = compare({"one": sample_results(), "other": other})
    assert "different tokenizers: their perplexities" in text and "different settings" in text
    assert "| **1.210 (1.162 to 1.270)** | 23.40" in lines_of(text, "personachat")[0]
    same = compare({"one": sample_results(), "other": sample_results(2.0)})
    assert "different" not in same


def test_runs_in_different_numbers_of_positions_have_no_best():
    """A base of few positions takes a model's own figures down; unknown numbers compare as before."""
    runs = {"one": sample_results(), "other": sample_results(2.0)}
    runs["one"]["settings"]["positions"] = 512
    text = compare(runs)
    assert "| **1.210" in text and "positions" not in text
    runs["other"]["settings"]["positions"] = 128
    text = compare(runs)
    assert "measured in different numbers of positions" in text
    assert "| 1.210 (1.162 to 1.270) | 23.40 (" in lines_of(text, "personachat")[0]
    assert "| 0.400 (" in lines_of(text, "personachat")[1]


def test_a_run_alone_is_not_the_best():
    assert "| **" not in compare({"only": sample_results()})


def test_two_files_of_one_folder_are_two_runs(tmp_path):
    folder = write_run(tmp_path / "runs", sample_results())
    files = [folder / "results.json", folder / "again.json"]
    files[1].write_bytes(files[0].read_bytes())
    assert _names(files) == {file.as_posix(): file for file in files}


def test_a_run_is_named_by_its_folder_from_within_it_too(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "my run", sample_results())
    monkeypatch.chdir(folder)
    for given in ("results.json", "."):
        assert [*_names([results_path(given)])] == ["my run"]


def test_a_run_that_is_given_twice_is_one(tmp_path):
    folder = write_run(tmp_path / "my run", sample_results())
    [row] = lines_of(in_process(main, folder, folder / "results.json").stdout, "personachat")
    assert row.startswith("| my run | 1.210 ")


def test_ranking_of_other_replies_is_told():
    few = sample_results(2.0)
    few["settings"]["ranked_replies"] = 60
    assert "ranked different replies" in compare({"all": sample_results(), "few": few})
    assert "ranked different replies" not in compare({"one": few, "two": few})


def test_the_command_names_runs_by_their_folders(tmp_path):
    one = write_run(tmp_path / "x" / "run", sample_results())
    same_name = write_run(tmp_path / "y" / "run", sample_results(2.0))
    third = write_run(tmp_path / "a|b", sparse_results())
    output = tmp_path / "leaderboard.md"
    flags = [str(one), str(same_name / "results.json"), str(third), "--output", str(output)]
    done = python("-m", "eval.compare", *flags)
    assert done.returncode == 0, done.stderr
    assert output.read_text(encoding="utf-8") in done.stdout
    assert all(f"| {name} " in done.stdout for name in (one, same_name, "a\\|b"))


def test_only_tables_of_an_earlier_comparison_are_written_over(tmp_path):
    folder = write_run(tmp_path / "run", sample_results())
    output, before = tmp_path / "leaderboard.md", (folder / "results.json").read_bytes()
    for _ in range(2):
        assert in_process(main, folder, "--output", output).returncode == 0
    refused = in_process(main, folder, "--output", folder / "results.json")
    assert refused.returncode == 2 and "was not written by `python -m eval.compare`" in refused.stderr
    assert (folder / "results.json").read_bytes() == before


def test_the_command_reports_errors_in_one_line(tmp_path):
    folder = write_run(tmp_path / "run", sample_results())
    newer = write_run(tmp_path / "newer", {**sample_results(), "format_version": 4})
    (tmp_path / "around").symlink_to(tmp_path / "around")
    for flags, problem in (
        ((), "the following arguments are required: --results; see --help"),
        (("--results", "nowhere"), "--results nowhere: No such file or directory; give the results"),
        (("--results", str(tmp_path / "around")), "around: Too many levels of symbolic links; give the"),
        (("--results", str(newer)), "results of format version 4, this reads 3; evaluate anew"),
        (("--results", str(folder), "--output", str(tmp_path)), "is a folder; give a file"),
        (("--results", str(folder), "--output", str(tmp_path / "no" / "x.md")), "cannot be written (No such"),
    ):
        failed = in_process(main, *flags)
        assert failed.returncode == 2 and problem in failed.stderr, failed.stderr
        assert failed.stderr.startswith("error: ") and failed.stderr.count("\n") == 1
