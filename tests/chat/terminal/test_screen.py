"""What reaches a terminal: text, in place of what is drawn anew, and nothing that the terminal would obey."""

import os
import threading

import pyte
import pytest

from chat.session import ChatSession
from chat.terminal.conversation import Conversation
from chat.terminal.lines import PipedLines
from chat.terminal.screen import REPLY_PREFIX, TerminalScreen, screen_for


@pytest.fixture
def terminal(monkeypatch):
    """A screen on a pseudo-terminal of 40 columns, and a function: all that was written to it."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    # Rich keeps the mapping that it was imported under, which may have been another test's copy.
    monkeypatch.setattr("rich.console.Console._environ", os.environ)
    ours, theirs = os.openpty()
    received: list[bytes] = []

    def read() -> None:
        while True:
            try:
                received.append(os.read(ours, 65536))
            except OSError:
                return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    output = open(theirs, "w", encoding="utf-8")  # noqa: SIM115

    def written() -> bytes:
        output.close()
        reader.join(timeout=10)
        return b"".join(received)

    yield screen_for(output), written
    os.close(ours)


def shown(written: bytes) -> list[str]:
    screen = pyte.Screen(40, 50)
    pyte.ByteStream(screen).feed(written)
    return "\n".join(line.rstrip() for line in screen.display).rstrip().split("\n")


def test_a_reply_that_is_drawn_anew_takes_the_place_of_the_old_one(terminal):
    screen, written = terminal
    assert isinstance(screen, TerminalScreen)
    screen.said("You: ", "Hi [bold]there[/bold] :smile:")
    with screen.reply() as show:
        for text in (
            "I like pizza",
            "I like pizza and " + "pizza and " * 12,
            "Sorry, what did you mean by that?",
        ):
            show(text)
    screen.note("after")
    assert shown(written()) == [
        "You: Hi [bold]there[/bold] :smile:",
        "GPT-2: Sorry, what did you mean by that?",
        "after",
    ]


def test_lines_break_between_words(terminal):
    screen, written = terminal
    words = "understanding " * 6
    with screen.reply() as show:
        show(words.strip())
    lines = shown(written())
    assert len(lines) == 3 and " ".join(lines) == REPLY_PREFIX + words.strip()


def test_what_the_model_says_in_control_characters_stays_text(terminal, engine, monkeypatch):
    screen, written = terminal
    said = "Look \x1b[31mred\x1b]0;owned\x07 and \x9b2J gone."
    ids = engine.tokenizer(said, add_special_tokens=False)["input_ids"] + [engine.tokenizer.eos_token_id]
    assert engine.tokenizer.decode(ids[:-1]) == said
    monkeypatch.setattr(engine, "draw", lambda *arguments: iter([[each] for each in ids]))
    conversation = Conversation(ChatSession(engine), PipedLines(None, screen), screen)
    conversation.answer("Hi!")
    assert conversation.session.turns[-1]["content"] == said
    sent = written()
    assert (
        b"\x1b[31m" not in sent and b"\x1b]" not in sent and b"\x07" not in sent and b"\xc2\x9b" not in sent
    )
    assert " ".join(shown(sent)).startswith(
        "GPT-2: Look \ufffd[31mred\ufffd]0;owned\ufffd and \ufffd2J gone."
    )


def test_no_colours_where_the_user_wants_none(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    colourful, written = terminal
    screen = TerminalScreen(colourful._console.file)
    with screen.reply() as show:
        show("Hi!")
    screen.note("note")
    screen.hint("hint")
    sent = written()
    assert shown(sent) == ["GPT-2: Hi!", "note", "hint"]
    assert not any(code in sent for code in (b"m\x1b", b"\x1b[1", b"\x1b[2m", b"\x1b[3", b"\x1b[0m"))
