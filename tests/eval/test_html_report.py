"""The page: whole in itself, the same for the same input, and safe whatever a model says."""

import math
import re
from html.parser import HTMLParser

import pytest

from chat.cli import UserError
from eval.html_report import MAIN_FIGURES, SHOWN_REPLIES, render_html
from eval.report import write_text
from eval.results_file import load_replies
from eval.table import GROUPS
from eval.training_log import read_curves
from tests.eval.samples import (
    HOSTILE,
    sample_replies,
    sample_results,
    sparse_results,
    write_run,
)

CURVES = {"training": [(1, 7.5), (2, 6.5), (3, 6.1)], "validation": [(3, 6.2)]}
VOID = ("meta", "br", "hr", "img", "input", "link")


class Page(HTMLParser):
    """Tags that are opened and closed in turn, their attributes, and the text outside of styles."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture(scope="module")
def replies(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("run"), sample_results(), sample_replies())
    return load_replies(folder / "results.json", "--results")


@pytest.fixture(scope="module")
def html(replies):
    return render_html(sample_results(), replies, CURVES)


def test_it_runs_and_fetches_nothing(html):
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")} and not {"src", "srcset", "href"} & names
    references = [value for name, value in page.attributes if name == "xlink:href"]
    assert references and all(value.startswith("#") for value in references)
    assert "http://" not in html and "https://" not in html and "@import" not in html
    assert set(re.findall(r"url\((.)", html)) <= {"#"}
    assert "default-src 'none'" in html


def test_replies_are_text_whatever_they_hold(html):
    page = Page(html)
    assert html.count("<main>") == html.count("</main>") == 1
    assert "<b>" not in html and "<i>" not in html and "<script" not in html
    assert HOSTILE in page.text and "I have <i>two</i> cats." in page.text
    assert "(empty)" in page.text and "first line\n\nthird line" in page.text


def test_names_from_the_results_are_text_too(replies):
    results = sample_results()
    results["models"]["model"]["name"] = results["libraries"][HOSTILE] = results["device"] = HOSTILE
    results["settings"][HOSTILE] = [HOSTILE]
    results["figures"] = {HOSTILE: results["figures"]["personachat"]}
    results["data"] = {HOSTILE: results["data"]["personachat"]}
    page = Page(render_html(results, [{**replies[0], "source": HOSTILE}], {}))
    assert "script" not in page.tags and page.text.count(HOSTILE) > 8


def test_half_a_character_does_not_keep_it_from_being_written(html, tmp_path):
    assert "\ud800" in html
    write_text(tmp_path / "report.html", html, "--results")
    assert "? half" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_same_input_gives_the_same_page(html, replies):
    assert render_html(sample_results(), replies, CURVES) == html
    assert render_html(sample_results(), replies, CURVES, seed=1) != html


def test_it_has_a_plot_per_main_figure_the_lengths_and_the_curves(html):
    page = Page(html)
    assert page.tags.count("svg") == len(MAIN_FIGURES) + 2 + 1 + 1
    assert {"personachat: hits@1", "personachat: reply lengths in words", "Loss by step"} <= {
        value for name, value in page.attributes if name == "aria-label"
    }
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert "#0102" not in html and "prefers-color-scheme: dark" in html
    assert all(f"var(--{name})" in html for name in ("model", "base", "base-in-template", "human"))


def test_it_has_all_figures_settings_versions_and_data(html):
    text = Page(html).text
    assert all(each.label in text for group in GROUPS.values() for each in group)
    assert "23.40 (22.46 to 24.57)" in text and "decoding.temperature" in text
    assert "2.13.0+cpu" in text and "ab" * 32 in text and "607a30d" in text


def test_the_replies_are_drawn_by_the_seed(html, replies):
    assert html.count("<article") == SHOWN_REPLIES < len(replies)
    assert f"{SHOWN_REPLIES} of {len(replies)}, drawn by seed 0" in html
    assert render_html(sample_results(), replies[:3], {}).count("<article") == 3


def test_it_does_without_replies_and_curves():
    html = render_html(sample_results(), [], {})
    assert "no <code>replies.jsonl</code>" in html and "Reply lengths" not in html and "Training" not in html


def test_perplexities_that_do_not_compare_have_no_plot():
    results = {**sample_results(), "same_reply_ids": False}
    html = render_html(results, [], {})
    assert "personachat: reply perplexity" not in html and "personachat: bits per byte" in html
    assert "their perplexities do not" in html


@pytest.mark.parametrize("value", [math.inf, math.nan, 0.0, -0.5, 1e9])
def test_any_value_can_be_drawn(value):
    results = sample_results()
    # Without the plots of the other figures, which this value is none of.
    results["figures"] = {
        source: {row: {"likelihood": each["likelihood"]} for row, each in rows.items() if row != "human"}
        for source, rows in results["figures"].items()
    }
    entry = {"value": value, "low": value, "high": math.inf}
    results["figures"]["personachat"]["model"]["likelihood"]["perplexity"] = entry
    results["figures"]["cornell"]["base"]["likelihood"]["bits_per_byte"] = {"value": value}
    Page(render_html(results, [], {}))


def test_few_figures_have_a_page_too(replies):
    html = render_html(sparse_results(), replies, {})
    assert "cornell: words per reply" in html and "106.58" in html


def write_log(folder, points: dict[str, list[tuple[int, float]]]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for tag, found in points.items():
            for step, value in found:
                writer.add_scalar(tag, value, step)


def test_the_curves_of_a_resumed_run_are_one(tmp_path):
    write_log(tmp_path / "runs" / "first", {"train/loss": [(1, 4.0), (2, 3.0), (3, 9.0)]})
    write_log(tmp_path / "runs" / "again", {"train/loss": [(3, 2.0), (4, 1.0)], "eval/loss": [(4, 1.5)]})
    curves = read_curves(str(tmp_path))
    assert curves == {"training": [(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)], "validation": [(4, 1.5)]}


def test_a_folder_without_curves_is_told(tmp_path):
    with pytest.raises(UserError, match="no TensorBoard log there"):
        read_curves(str(tmp_path / "nowhere"))
    write_log(tmp_path, {"other": [(1, 1.0)]})
    with pytest.raises(UserError, match="hold no loss; give a training run's folder"):
        read_curves(str(tmp_path))
