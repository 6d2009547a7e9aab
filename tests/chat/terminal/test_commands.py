"""The commands, in one process: what they change, and that a bad one changes nothing."""

import json

import pytest

from chat.printable import printable
from chat.session import MAX_MESSAGE_CHARACTERS, MAX_TURNS
from chat.terminal.commands import persona_of


def test_a_conversation_through_a_pipe(talk):
    conversation, printed = talk("Hi!", "", "//slash", "exit", "not read")
    assert [turn["content"] for turn in conversation.session.turns[::2]] == ["Hi!", "/slash"]
    lines = printed.split("\n")
    assert lines[0] == "You: Hi!" and lines[1].startswith("GPT-2: ") and "not read" not in printed
    assert printed.count("GPT-2: ") == 2 and conversation.failures == 0


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("/nothing", "/nothing: no such command; /help lists them (//text says /text)"),
        ("/RESTT", "/RESTT: no such command (did you mean `/reset`?); /help lists them (//text says /text)"),
        ("/undo it", "/undo: takes nothing after it"),
        (
            "/set temprature 1",
            "/set temprature: no such setting (did you mean `temperature`?); /set lists them",
        ),
        ("/set xyz 1", "/set xyz: no such setting; /set lists them"),
        ("/set temperature warm", "/set temperature warm: give a number from 0.1 to 1.5"),
        ("/set top_k=5 temperature=warm", "/set temperature warm: give a number from 0.1 to 1.5"),
        ("/set temperature none", "/set temperature none: give a number from 0.1 to 1.5"),
        ("/nothing\x1b[2J", "/nothing\ufffd[2J: no such command"),
        ("/set do_sample maybe", "/set do_sample maybe: give on or off"),
        ("/set temperature 1 top_p", "/set top_p : give a number from 0.05 to 1.0"),
        ("/load", "/load: name a file, such as /load talk.json"),
        ("/load ./nowhere.json", "nowhere.json: cannot be read (No such file or directory)"),
        ("/load .", ": is no file"),
        ("/save", "/save: name a file, such as /save talk.json"),
        ("/save nowhere/talk.json", "talk.json: cannot be written (No such file or directory); give another"),
        ("/save /dev/null", "/save /dev/null: is no file; give another name"),
    ],
)
def test_a_bad_command_is_one_line_and_changes_nothing(talk, capsys, line, hint):
    conversation, _ = talk("/persona I have a cat.", "Hi!")
    before = conversation.session.to_json()
    conversation, printed = talk(line, conversation=conversation)
    [shown] = capsys.readouterr().err.splitlines()
    assert hint in shown and conversation.failures == 1
    assert printed == f"You: {line}\n".replace("\x1b", "\ufffd") and conversation.session.to_json() == before


def test_settings(talk, capsys):
    conversation, printed = talk(
        "/set temperature 0.5 top-p=0.8", "/set greedy", "/set do_sample=off", "/set seed random"
    )
    told = [line.split()[:2] for line in printed.splitlines() if line.startswith(("do_sample ", "seed "))]
    assert told == [["do_sample", "off"], ["seed", "random"]]
    settings = conversation.session.settings
    assert (settings.temperature, settings.top_p, settings.do_sample, settings.seed) == (
        0.5,
        0.8,
        False,
        None,
    )
    capsys.readouterr()
    conversation, printed = talk(
        "/set temperature nan top_k 1e9 max_new_tokens 2.5 seed -4", conversation=conversation
    )
    settings = conversation.session.settings
    assert (settings.temperature, settings.top_k, settings.max_new_tokens, settings.seed) == (0.7, 200, 2, 0)
    hints = capsys.readouterr().err.splitlines()
    assert hints == [
        "temperature nan is not possible: 0.7 is taken",
        "top_k 1000000000.0 is not possible: 200 is taken",
        "max_new_tokens 2.5 is not possible: 2 is taken",
        "seed -4 is not possible: 0 is taken",
    ]
    conversation, printed = talk("/set default", "/set default", conversation=conversation)
    assert conversation.session.settings == conversation.session.engine.settings
    assert printed.endswith("You: /set default\nThat is how it was.\n")


def test_a_setting_that_follows_another_is_told(talk, capsys):
    talk("/set max_new_tokens 30", "/set min_new_tokens 20", "/set max_new_tokens 10")
    assert capsys.readouterr().err == "min_new_tokens 20 is not possible: 10 is taken\n"


def test_a_persona_beyond_the_limits_is_told(talk, capsys):
    conversation, _ = talk("/persona " + "I have a cat. " * 9)
    assert len(conversation.session.persona) == 8
    assert "at most 8 sentences of 200 characters; the rest was left out" in capsys.readouterr().err
    conversation, _ = talk(
        "/persona Mr. Smith is my friend. I work at St. Mary's!", conversation=conversation
    )
    assert conversation.session.persona == ("Mr. Smith is my friend.", "I work at St. Mary's!")


def test_half_a_character_in_a_persona_is_replaced(talk, capsys):
    """As a terminal of Latin-1 types it."""
    conversation, _ = talk("/persona I like two caf\udce9s. I sing.")
    assert conversation.session.persona == ("I like two caf?s.", "I sing.")
    assert "left out" not in capsys.readouterr().err


def test_a_message_beyond_the_limit_is_told(talk, capsys):
    conversation, _ = talk("y " * MAX_MESSAGE_CHARACTERS)
    assert f"Only the first {MAX_MESSAGE_CHARACTERS} characters" in capsys.readouterr().err
    assert len(conversation.session.turns) == 2


def test_retry_draws_others_by_seeds_that_come_again(talk):
    conversation, printed = talk("Hi!", "/retry", "/retry")
    drawn = [line for line in printed.split("\n") if line.startswith("GPT-2: ")]
    assert len({*drawn}) == 3 and len(conversation.session.turns) == 2
    assert [f"GPT-2: {printable(each)}" for each in conversation.rejected] == drawn[:2]
    assert conversation.session.settings.seed == 1
    assert talk("Hi!", "/retry", "/retry")[1] == printed
    conversation, _ = talk("And you?", conversation=conversation)
    assert conversation.rejected == []


def test_retry_draws_by_a_seed_where_the_message_was_answered_by_one(talk, engine, monkeypatch):
    seeds = []
    stream = engine.stream
    monkeypatch.setattr(engine, "stream", lambda *given: seeds.append(given[1].seed) or stream(*given))
    talk("/set seed 0", "Hi!", "/retry", "/set seed none", "/retry")
    assert seeds[0] == 0 and seeds[1] > 0 and seeds[2] is None


@pytest.mark.parametrize("away", [["And you?", "/retry", "/undo"], ["And you?", "/retry", "/load {file}"]])
def test_what_was_rejected_of_another_message_does_not_count(talk, tmp_path, away):
    conversation, _ = talk("Hi!")
    file = tmp_path / "talk.json"
    file.write_text(conversation.session.to_json())
    conversation, _ = talk(*(line.format(file=file) for line in away), "/retry", conversation=conversation)
    assert conversation.session.turns == talk("Hi!", "/retry")[0].session.turns


def test_greedy_search_has_nothing_to_retry(talk, capsys):
    conversation, _ = talk("/set do_sample off", "Hi!")
    before = [*conversation.session.turns]
    conversation, _ = talk("/retry", conversation=conversation)
    assert "would say the same again" in capsys.readouterr().err and conversation.session.turns == before


def test_what_fails_leaves_the_conversation(talk, capsys, engine, monkeypatch):
    conversation, _ = talk("Hi!")
    before = [*conversation.session.turns]

    def fail(*arguments):
        raise RuntimeError("out of\nmemory")
        yield

    with monkeypatch.context() as patched:
        patched.setattr(engine, "draw", fail)
        conversation, printed = talk("/retry", "And now?", conversation=conversation)
    assert printed == "You: /retry\nYou: And now?\n"
    assert capsys.readouterr().err.count("there is no reply (out of memory)") == 2
    assert conversation.session.turns == before and conversation.failures == 2
    assert len(talk("And now?", conversation=conversation)[0].session.turns) == 4


def test_undo_takes_back_messages_then_reset_and_load(talk, tmp_path):
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"persona": ["I sing."], "turns": [{"role": "user", "content": "Hello?"}]}))
    conversation, _ = talk("/persona I have a cat.", "Hi!", "And?")
    both = conversation.session.to_json()
    conversation, _ = talk(f"/load {file}", conversation=conversation)
    assert conversation.session.persona == ("I sing.",)
    assert talk("/undo", conversation=conversation)[0].session.to_json() == both
    assert talk("/reset", "/undo", conversation=conversation)[0].session.to_json() == both
    assert talk("/reset", "/reset", "/undo", conversation=conversation)[0].session.to_json() == both
    conversation, printed = talk("/undo", conversation=conversation)
    assert "Taken back: And?" in printed and len(conversation.session.turns) == 2
    conversation, _ = talk("/reset", "New.", "/undo", "/undo", conversation=conversation)
    assert conversation.session.turns == [] and conversation.failures == 1


def test_a_long_message_that_is_taken_back_is_told_in_short(talk):
    _, printed = talk("word  " * 20, "/undo")
    assert printed.endswith(f"Taken back: {'word ' * 11}word...\n")


def test_a_file_without_a_reply_is_answered_by_retry(talk, tmp_path):
    file = tmp_path / "asked.json"
    file.write_text(json.dumps({"turns": [{"role": "user", "content": "Hello?"}]}))
    conversation, _ = talk(f"/load {file}", "/retry")
    assert [turn["role"] for turn in conversation.session.turns] == ["user", "assistant"]


def test_a_long_conversation_can_be_retried(talk):
    turns = [
        {"role": role, "content": str(n)} for n in range(MAX_TURNS // 2) for role in ("user", "assistant")
    ]
    conversation, _ = talk("/help")
    conversation.session.turns = turns
    conversation, _ = talk("Hi!", "/retry", conversation=conversation)
    assert len(conversation.session.turns) == MAX_TURNS
    assert conversation.session.turns[-2]["content"] == "Hi!"


def test_commands_names_and_words_may_be_in_capitals(talk):
    conversation, _ = talk(
        "/PERSONA Random", "/Set TEMPERATURE 0.5", "/set Do-Sample OFF", "EXIT", "not read"
    )
    session = conversation.session
    assert len(session.persona) == 5 and session.turns == [] and conversation.failures == 0
    assert (session.settings.temperature, session.settings.do_sample) == (0.5, False)
    assert talk("/persona NONE", conversation=conversation)[0].session.persona == ()
    assert "not read" not in talk("/quit", "not read")[1]


def test_a_setting_is_shown_beside_the_model_s_own_and_given_back(talk):
    conversation, printed = talk("/set top_k 7 temperature 0.5", "/set top_k", "/set top_k Default")
    own, settings = conversation.session.engine.settings, conversation.session.settings
    assert printed.count(f"(0 to 200; the model's own: {own.top_k})") == 2
    told = [line.split()[1] for line in printed.splitlines() if line.startswith("top_k ")]
    assert told == ["7", "7", str(own.top_k)]
    assert (settings.top_k, settings.temperature) == (own.top_k, 0.5)


def test_a_persona_within_the_limits_is_not_told_to_be_beyond_them():
    assert persona_of([" I have a cat. ", "", "I sing."]) == (("I have a cat.", "I sing."), "")
    # As a shell gives what is no UTF-8.
    assert persona_of(["Caf\udce9 I like."]) == (("Caf? I like.",), "")
