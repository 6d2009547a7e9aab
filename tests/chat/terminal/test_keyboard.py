"""The terminal chat in a pseudo-terminal: each command and the keyboard, in one process for all tests."""

import json

import pytest

from tests.chat.terminal.conftest import CTRL_C, ENTER, LEFT, TAB, UP, typist


@pytest.fixture(scope="module")
def process(model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("talks")
    flags = ("--model", str(model_folder), "--engine", "torch", "--seed", "1", "--max-new-tokens", "9")
    with typist(*flags, "--temperature", "7", cwd=folder) as found:
        found.folder = folder
        found.at_start = found.lines()
        yield found


@pytest.fixture
def user(process):
    for command in ("/reset", "/persona none"):
        process.say(command)
    return process


def test_the_start_tells_what_it_is_and_what_was_not_taken(process, model_folder):
    shown = " ".join(process.at_start)
    assert process.at_start[0].startswith("Loading ") and "it makes things up" in shown and "/help" in shown
    assert "temperature 7.0 is not possible: 1.5 is taken" in process.at_start


def test_a_message_is_answered_in_colours(user):
    [reply] = user.say("Hi!")
    assert reply.startswith("GPT-2: ") and len(reply) > len("GPT-2: ")
    assert b"\x1b[1;32mGPT-2: " in user.sent


def test_help_lists_every_command_within_the_width(user):
    shown = "\n".join(user.say("/help"))
    names = ("/persona", "/set", "/reset", "/undo", "/retry", "/save", "/load", "/help", "exit", "Ctrl-C")
    assert all(name in shown for name in names)
    assert all(line.startswith(("/", "exit", "Ctrl-C")) for line in shown.split("\n"))


def test_the_persona_is_changed_in_mid_conversation(user):
    user.say("Hi!")
    assert user.say("/persona I have two cats. My name is Ann!") == ["I have two cats.", "My name is Ann!"]
    assert user.say("/persona") == ["I have two cats.", "My name is Ann!"]
    assert len(user.say("/persona random")) == 5
    assert user.say("/persona none")[0].startswith("Nobody in particular.")
    assert user.say("/undo") == ["Taken back: Hi!"]


def test_settings_are_shown_set_and_clamped(user):
    assert user.say("/set temperature 0.5")[0].split()[:2] == ["temperature", "0.5"]
    clamped, line = user.say("/set temperature=99")
    assert clamped == "temperature 99 is not possible: 1.5 is taken" and "1.5" in line
    shown = user.say("/set")
    assert len(shown) == 9 and shown[-1].split()[:2] == ["seed", "1"]
    assert user.say("/set temperature default")[0].split() == ["temperature", "0.7", "(0.1", "to", "1.5)"]


def test_retry_undo_and_reset(user):
    [first] = user.say("Hello there!")
    [second] = user.say("/retry")
    assert second.startswith("GPT-2: ") and second != first
    assert user.say("/undo") == ["Taken back: Hello there!"]
    assert user.say("/undo") == ["/undo: nothing has been said yet"]
    user.say("Hello there!")
    assert user.say("/reset") == ["Forgotten, but for the persona. /undo brings it back."]
    assert user.say("/retry") == ["/retry: nothing has been said yet"]
    assert user.say("/undo") == ["Back in the conversation of 2 turns."]


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def test_save_and_load(user):
    user.say("/persona I have a dog.")
    [reply] = user.say("Do you have pets?")
    assert user.say("/save my talk.json")[0].startswith("Saved 2 turns to ")
    kept = json.loads((user.folder / "my talk.json").read_text(encoding="utf-8"))
    assert kept["persona"] == ["I have a dog."] and kept["turns"][0]["content"] == "Do you have pets?"
    user.say("/reset")
    user.say("/persona none")
    user.say("/set seed 5")
    shown = user.say("/load my talk.json")
    # What is loaded has spaces for control characters, of which a random model says many.
    assert shown[0] == "You: Do you have pets?" and letters(shown[1]) == letters(reply)
    assert user.say("/persona") == ["I have a dog."]
    assert user.say("/set seed")[0].split()[:2] == ["seed", "1"]
    (user.folder / "bad.json").write_text("{}]")
    assert "the conversation is not JSON" in " ".join(user.say("/load bad.json"))
    assert user.say("/persona") == ["I have a dog."]


def test_history_and_line_editing(user):
    user.say("/set top_k 7")
    user.say("/persona")
    user.keys(UP, UP)
    user.until(lambda: user.lines()[-1] == "You: /set top_k 7")
    user.keys(LEFT, "1", ENTER)
    user.until(lambda: user.is_asked() and user.lines()[-2].split()[:2] == ["top_k", "17"])


def test_tab_completes_commands_settings_and_files(user):
    (user.folder / "a_file_with_a_name.json").write_text("{}")
    for typed, completed in (
        ("/he", "/help"),
        ("/set temp", "/set temperature"),
        ("/load a_fi", "/load a_file_with_a_name.json"),
    ):
        user.keys(typed, TAB)
        user.until(lambda completed=completed: user.lines()[-1] == f"You: {completed}")
        user.keys(CTRL_C)
        user.until(user.is_asked)


def test_ctrl_c_drops_a_line_and_a_single_one_does_not_leave(user):
    user.keys("half a mess", CTRL_C)
    user.until(user.is_asked)
    user.keys(CTRL_C)
    user.until(lambda: user.lines()[-2:] == ["Ctrl-C again leaves, as does `exit`.", "You:"])
    assert user.say("Hi!")[0].startswith("GPT-2: ")
    user.keys(CTRL_C)
    user.until(lambda: user.lines()[-2:] == ["Ctrl-C again leaves, as does `exit`.", "You:"])
    assert user.say("/help")


def test_what_a_file_says_does_not_reach_the_terminal_raw(user):
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "\u202eevil \x9b31m\x1b]0;t\x07"},
    ]
    (user.folder / "evil.json").write_text(json.dumps({"persona": ["I am \u2067it."], "turns": turns}))
    before = len(user.sent)
    user.say("/load evil.json")
    user.say("/persona")
    shown = user.sent[before:].decode("utf-8")
    assert "evil" in shown and not {"\u202e", "\u2067", "\x9b", "\x07"} & set(shown) and "\x1b]" not in shown
