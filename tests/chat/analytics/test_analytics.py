"""What is read back of a real feedback log, against numbers worked out by hand."""

import json
import math
import sys
from datetime import UTC, datetime

import pytest

from chat.analytics.__main__ import main
from chat.analytics.events import Rating, Reply, read_log
from chat.analytics.figures import Figures
from chat.analytics.plot import check_output, draw
from chat.cli import UserError, run
from chat.decoding import DecodingSettings
from chat.feedback import FeedbackLog
from tests.conftest import change_json, refused
from tests.processes import in_process


@pytest.fixture
def at(monkeypatch):
    """A function that sets the log's clock."""

    def set_clock(time: str) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.fromisoformat(time).replace(tzinfo=UTC)

        monkeypatch.setattr("chat.feedback.datetime", Clock)

    return set_clock


@pytest.fixture
def folder(tmp_path, at):
    """Three replies on Monday, a like after midnight, and one reply on Wednesday of the week after."""
    log = FeedbackLog(tmp_path / "feedback")

    def reply(
        time: str, conversation: str, message: str, tokens: int, seconds: float, fallback=False
    ) -> None:
        at(time)
        log.reply(
            True,
            conversation,
            message,
            f"Reply to {message}",
            persona=[],
            settings=DecodingSettings(seed=1),
            model="models/pocket",
            seconds=seconds,
            tokens=tokens,
            fallback=fallback,
        )

    def liked(time: str, conversation: str, message: str, liked: bool | None) -> None:
        at(time)
        log.liked(True, conversation, f"Reply to {message}", message, liked)

    reply("2026-03-02T10:00", "a", "Hi", 4, 0.5)
    liked("2026-03-02T10:01", "a", "Hi", True)
    reply("2026-03-02T10:30", "a", "How are you?", 10, 1.5, fallback=True)
    liked("2026-03-02T10:31", "a", "How are you?", True)
    liked("2026-03-02T10:32", "a", "How are you?", False)
    liked("2026-03-02T10:33", "a", "Hi", None)
    reply("2026-03-02T23:59", "b", "Do you have pets?", 6, 0.7)
    liked("2026-03-03T00:01", "b", "Do you have pets?", True)
    log = FeedbackLog(tmp_path / "feedback" / "later")
    reply("2026-03-11T12:00", "c", "Hello there", 20, 0.7)
    return tmp_path / "feedback"


def analyse(folder, *flags: str, drawn: bool = True):
    """The lines of stdout, the numbers in the last of them, and stderr.

    Args:
        drawn: or without a picture, such as that of a log which another test has drawn.
    """
    output = folder.parent / "plots" / "chat.png"
    with pytest.MonkeyPatch.context() as drawing:
        if not drawn:
            drawing.setattr("chat.analytics.__main__.draw", lambda *_: None)
        done = in_process(main, "--folder", folder, "--output", output, *flags)
    assert done.returncode == 0, done.stderr
    assert not drawn or output.read_bytes().startswith(b"\x89PNG\r\n")
    lines = done.stdout.splitlines()
    return lines, json.loads(lines[-1]), done.stderr


def test_the_figures_of_each_day_and_of_all(folder):
    lines, found, errors = analyse(folder)
    assert errors == "" and found["skipped_lines"] == 0 and found["files"] == 2 and found["every"] == "day"
    monday, tuesday, wednesday = found["periods"].values()
    assert [*found["periods"]] == [f"2026-03-{day}T00:00:00+00:00" for day in ("02", "03", "11")]
    assert monday == {
        "replies": 3,
        "conversations": 2,
        "message_words": 3,
        "reply_tokens": 6,
        "seconds": 0.7,
        "seconds_p95": 1.5,
        "likes": 0,
        "dislikes": 1,
        "fallbacks": 1,
        "fallback_share": 0.3333,
    }
    assert (tuesday["replies"], tuesday["likes"], tuesday["seconds"], tuesday["fallback_share"]) == (
        0,
        1,
        None,
        None,
    )
    assert (wednesday["replies"], wednesday["message_words"], wednesday["reply_tokens"]) == (1, 2, 20)
    assert found["all"] == {
        "replies": 4,
        "conversations": 3,
        "message_words": 2.5,
        "reply_tokens": 8,
        "seconds": 0.7,
        "seconds_p95": 1.5,
        "likes": 1,
        "dislikes": 1,
        "fallbacks": 1,
        "fallback_share": 0.25,
    }
    assert len({*map(len, lines[:5])}) == 1
    cells = [line.split() for line in lines[:5]]
    assert cells[0][:4] == ["day", "replies", "conversations", "words"]
    assert cells[1] == ["2026-03-02", "3", "2", "3", "6", "0.70", "1.50", "0", "1", "1", "(33%)"]
    assert cells[2] == ["2026-03-03", "0", "0", "-", "-", "-", "-", "1", "0", "0"]
    assert cells[4] == ["all", "4", "3", "2.5", "8", "0.70", "1.50", "1", "1", "1", "(25%)"]


def test_hours_and_weeks(folder):
    lines, found, _ = analyse(folder, "--every", "hour")
    counts = {start[:13]: each["replies"] for start, each in found["periods"].items()}
    assert counts == {"2026-03-02T10": 2, "2026-03-02T23": 1, "2026-03-03T00": 0, "2026-03-11T12": 1}
    assert lines[1].startswith("2026-03-02 10:00")
    _, found, _ = analyse(folder, "--every", "week")
    assert {start[:10]: each["replies"] for start, each in found["periods"].items()} == {
        "2026-03-02": 3,
        "2026-03-09": 1,
    }


def test_lines_that_are_no_events_are_counted_and_left_out(folder):
    _, before, _ = analyse(folder, drawn=False)
    [file] = folder.glob("*.jsonl")
    whole = json.loads(file.read_text(encoding="utf-8").splitlines()[0])
    broken = [
        b"not JSON",
        b"\xff\x00\xfe",
        b"[]",
        b"5",
        b"[" * 100_000,
        b'{"event": "filler", "time": "2026-03-02T10:00:00+00:00"}',
        *(
            json.dumps({**whole, **changed}).encode()
            for changed in (
                {"time": "yesterday"},
                {"time": "2026-03-02T10:00:00"},
                {"time": "0001-01-01T00:00:00+14:00"},
                {"time": "2200-01-01T00:00:00+00:00"},
                {"time": 5},
                {"tokens": "many"},
                {"tokens": True},
                {"tokens": -1},
                {"tokens": 10**400},
                {"seconds": float("inf")},
                {"fallback": 1},
                {"message": None},
                {"event": "liked", "liked": "yes"},
            )
        ),
        json.dumps({name: value for name, value in whole.items() if name != "tokens"}).encode(),
    ]
    half = json.dumps(whole).encode()[:50]
    with file.open("ab") as log:
        log.write(b"\n".join([*broken, b"", half]))
    _, after, errors = analyse(folder)
    assert after["skipped_lines"] == len(broken) + 1
    assert errors == f"{len(broken) + 1} lines are no events of the chat and were skipped\n"
    assert {**after, "skipped_lines": 0} == before


def test_likes_alone_are_drawn_too(tmp_path, at):
    at("2026-03-02T10:00")
    FeedbackLog(tmp_path / "feedback").liked(True, "a", "Hello.", "Hi", True)
    _, found, _ = analyse(tmp_path / "feedback")
    assert (found["all"]["likes"], found["all"]["replies"], found["all"]["seconds"]) == (1, 0, None)


def test_each_visitor_s_last_word_on_each_reply_counts(tmp_path, at):
    """In whichever of several files it stands."""
    first, second = (FeedbackLog(tmp_path / "feedback" / name) for name in "ab")
    at("2026-03-02T10:05")
    first.liked(True, "a", "Hello.", "Hi", False)
    second.liked(True, "b", "Hello.", "Hi", True)
    second.liked(True, "b", "Hello.", "How are you?", True)
    second.liked(True, "b", "Good day.", "Hi", False)
    at("2026-03-02T10:00")
    second.liked(True, "a", "Hello.", "Hi", True)
    _, found, _ = analyse(tmp_path / "feedback", drawn=False)
    assert (found["all"]["likes"], found["all"]["dislikes"]) == (2, 2)


def test_a_reply_of_no_tokens_in_no_time_counts_without_anybody_s_word_on_it(folder):
    [file] = (folder / "later").glob("*.jsonl")
    change_json(file, tokens=0, seconds=0)
    log = read_log(str(folder / "later"), "--folder")
    figures = Figures.of(log.replies, log.ratings)
    assert (figures.replies, figures.reply_tokens, figures.seconds) == (1, 0, 0)


def test_times_of_other_zones_are_of_their_day_in_utc(tmp_path, at):
    log = FeedbackLog(tmp_path / "feedback")
    at("2026-03-02T10:00")
    log.liked(True, "a", "Hello.", "Hi", True)
    log.file.write_text(log.file.read_text().replace("2026-03-02T10:00:00.000+00", "2026-03-02T23:30:00-05"))
    _, found, _ = analyse(tmp_path / "feedback", drawn=False)
    assert [*found["periods"]] == ["2026-03-03T00:00:00+00:00"]


def test_the_95th_percentile_is_no_longest_time():
    time = datetime(2026, 3, 2, tzinfo=UTC)
    for count, expected in ((1, 1), (20, 19), (30, 29), (40, 38)):
        replies = [Reply(time, "a", 1, 1, seconds, False) for seconds in range(count, 0, -1)]
        assert Figures.of(replies, []).seconds_p95 == expected


def test_the_picture_draws_the_figures(monkeypatch):
    drawn = []
    monkeypatch.setattr("chat.analytics.plot._write", lambda figure, *_: drawn.append(figure))
    days = [datetime(2026, 3, day, tzinfo=UTC) for day in (2, 3, 6)]
    replies = [Reply(days[0], "a", 2, 7, 0.5, False), Reply(days[0], "a", 2, 7, 1.5, True)]
    likes = [Rating(days[0], True), Rating(days[0], False), Rating(days[0], False)]
    busy, calm = Figures.of(replies, likes), Figures.of(replies[:1], [])
    draw(dict(zip(days, [busy, calm, calm], strict=True)), "day", check_output("CHAT.PNG"))
    volume, length, latency, opinions, fallbacks = drawn[0].axes
    assert [bar.get_height() for bar in volume.patches] == [2, 1, 1]
    assert volume.lines[0].get_ydata()[0] == 1
    assert [bar.get_height() for bar in opinions.patches] == [1, 0, 0, -2, 0, 0]
    assert [bar.get_height() for bar in fallbacks.patches] == [50, 0, 0]
    lines = {line.get_label(): [*line.get_ydata()] for line in length.lines}
    # They break between the third and the sixth.
    assert lines["tokens replied"] == pytest.approx([7, 7, math.nan, 7], nan_ok=True)
    assert lines["words asked"] == pytest.approx([2, 2, math.nan, 2], nan_ok=True)
    seconds = {line.get_label(): line.get_ydata()[0] for line in latency.lines}
    assert seconds == {"median": 1, "95th percentile": 1.5}


def test_where_all_is_zero_the_axis_begins_there(tmp_path, monkeypatch):
    """A page's first days, without likes and fallbacks: no share is below 0 %."""
    drawn = []
    monkeypatch.setattr("chat.analytics.plot._write", lambda figure, *_: drawn.append(figure))
    day = datetime(2026, 3, 2, tzinfo=UTC)
    quiet = Figures.of([Reply(day, "a", 2, 7, 0.5, False)], [])
    draw({day: quiet}, "day", tmp_path / "chat.png")
    assert [axes.get_ylim()[0] for axes in drawn[0].axes] == [0] * 5


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--folder", "nowhere"], r"--folder nowhere: no such folder; name the FEEDBACK_FOLDER of the page"),
        (["--folder", "~nobody such/kept"], r"--folder ~nobody such/kept: no such folder"),
        ([], r"--folder feedback: no such folder"),
        (["--folder", "empty"], r"--folder empty: has no .jsonl files; nobody has allowed"),
        (["--folder", "foreign"], r"--folder foreign: no event of the chat in 1 files, 2 lines skipped"),
        (["--folder", "foreign/x.jsonl"], r"--folder foreign/x.jsonl: no such folder"),
        (["--folder", "odd"], r"--folder odd/y.jsonl: cannot be read (Is a directory); make it readable"),
        (
            ["--folder", "foreign", "--output", "a.jpeg"],
            r"--output a.jpeg: give a file name that ends in .png",
        ),
        (["--every", "minute"], r"--every: invalid choice: 'minute'"),
    ],
)
def test_where_there_is_nothing_it_is_said(tmp_path, monkeypatch, flags, error):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEEDBACK_FOLDER", raising=False)
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "odd" / "y.jsonl").mkdir(parents=True)
    (tmp_path / "foreign" / "x.jsonl").write_text('{"text": "other"}\n{"text"')
    monkeypatch.setattr(sys, "argv", ["analytics", *flags])
    with refused(error):
        main()
    assert not (tmp_path / "feedback.png").exists()


def test_the_folder_of_the_page_s_variable(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(sys, "argv", ["analytics"])
    monkeypatch.setenv("FEEDBACK_FOLDER", str(folder))
    main()
    assert (folder.parent / "feedback.png").is_file() and '"replies": 4' in capsys.readouterr().out
    monkeypatch.setenv("HOME", str(folder.parent))
    assert read_log(f"~/{folder.name}", "FEEDBACK_FOLDER").files
    monkeypatch.setenv("FEEDBACK_FOLDER", "nowhere")
    with pytest.raises(UserError, match=r"^FEEDBACK_FOLDER nowhere: no such folder"):
        main()
    monkeypatch.setenv("FEEDBACK_FOLDER", "off")
    with pytest.raises(SystemExit) as end:
        run(main)
    assert end.value.code == 2 and "error: FEEDBACK_FOLDER off: nothing is kept" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_is_named(folder, monkeypatch):
    (folder.parent / "file").write_text("")
    output = folder.parent / "file" / "chat.png"
    monkeypatch.setattr(sys, "argv", ["analytics", "--folder", str(folder), "--output", str(output)])
    with pytest.raises(UserError, match=r"^--output .+chat.png: cannot be written"):
        main()
