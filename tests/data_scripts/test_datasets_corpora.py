"""The corpora that `datasets` reads: PersonaChat, DailyDialog, Multi-Session Chat."""

import os
from collections import Counter

import pytest

from chat.cli import UserError
from chat.dialogue import Turn
from data_scripts import daily_dialog, multi_session_chat, personachat
from tests.conftest import ROOT, SAMPLE, refused
from tests.data_scripts.conftest import load_corpora
from tests.processes import ON_A_FULL_DISK, python

PERSONACHAT_ROW = {
    "personality": ["i have two cats .", "i'm a nurse ."],
    "utterances": [
        {"history": ["hi !"], "candidates": ["wrong one .", "hello , how are you ?"]},
        {
            "history": ["hi !", "hello , how are you ?", "fine . any pets ?"],
            "candidates": ["not this .", "two cats ."],
        },
    ],
}


def load(loader, path, keep_raw_text=False, dropped=None):
    return list(
        loader.load(
            None if path is None else str(path), keep_raw_text, Counter() if dropped is None else dropped
        )
    )


def test_personachat_takes_the_true_replies_and_the_assistants_persona(rows_corpus):
    [train, val] = load(personachat, rows_corpus(train=[PERSONACHAT_ROW], validation=[PERSONACHAT_ROW]))
    assert train.persona == ("I have two cats.", "I'm a nurse.")
    assert train.turns == (
        Turn("user", "Hi!"),
        Turn("assistant", "Hello, how are you?"),
        Turn("user", "Fine. Any pets?"),
        Turn("assistant", "Two cats."),
    )
    assert (train.split, val.split) == ("train", "val") and train.views() == [train]


def test_personachat_in_its_published_form(rows_corpus):
    [dialogue] = load(personachat, rows_corpus(train=[PERSONACHAT_ROW]), keep_raw_text=True)
    assert dialogue.turns[1].text == "hello , how are you ?" and dialogue.persona[1] == "i'm a nurse ."


def test_a_text_that_comes_again_is_cleaned_once(rows_corpus, monkeypatch):
    """Of PersonaChat's validation texts nine of ten are such: cleaning took most of the time to read it."""
    cleaned = []
    monkeypatch.setattr("data_scripts.rows.clean_spaced_text", lambda text: cleaned.append(text) or text)
    load(personachat, rows_corpus(validation=[PERSONACHAT_ROW] * 3))
    assert cleaned and len(cleaned) == len({*cleaned})


def test_an_assistant_who_opens_does_so_after_a_silence(rows_corpus):
    utterances = [{"history": ["__ SILENCE __", "hi .", "hello ."], "candidates": ["x", "how are you ?"]}]
    row = {**PERSONACHAT_ROW, "utterances": utterances}
    dropped = Counter()
    [dialogue] = load(personachat, rows_corpus(train=[row]), dropped=dropped)
    assert [turn.role for turn in dialogue.turns] == ["assistant", "user", "assistant"]
    assert dropped == {"empty utterances": 1}


def test_a_training_persona_belongs_to_the_speaker_who_tells_it(rows_corpus):
    history = ["i have two cats . you ?", "no , dogs .", "as a nurse i like cats ."]
    row = {**PERSONACHAT_ROW, "utterances": [{"history": history, "candidates": ["x", "i like dogs ."]}]}
    dropped = Counter()
    train, val = load(personachat, rows_corpus(train=[row], validation=[row]), dropped=dropped)
    assert [turn.role for turn in train.turns] == ["assistant", "user", "assistant", "user"]
    assert [turn.role for turn in val.turns] == ["user", "assistant", "user", "assistant"]
    assert train.persona == val.persona and val.turns[-1].distractors == ("X.",)
    assert dropped == {"attributions of a persona to the speaker who does not tell it": 1}


def test_the_true_reply_is_no_distractor_of_itself(rows_corpus):
    utterances = [
        {"history": ["any pets ?"], "candidates": ["two cats .", "no .", "", "two cats  .", "two cats ."]}
    ]
    [dialogue] = load(personachat, rows_corpus(validation=[{**PERSONACHAT_ROW, "utterances": utterances}]))
    assert dialogue.turns[-1] == Turn("assistant", "Two cats.", ("No.",))


@pytest.mark.parametrize("keep_raw_text", [False, True])
def test_a_personas_sentence_that_says_nothing_is_left_out(rows_corpus, keep_raw_text):
    row = {**PERSONACHAT_ROW, "personality": ["  ", "i sing .", ""]}
    [dialogue] = load(personachat, rows_corpus(train=[row]), keep_raw_text)
    assert dialogue.persona == ("i sing ." if keep_raw_text else "I sing.",)


def test_rows_without_utterances_are_counted(rows_corpus):
    dropped = Counter()
    rows = [PERSONACHAT_ROW, {**PERSONACHAT_ROW, "utterances": []}]
    assert len(load(personachat, rows_corpus(train=rows), dropped=dropped)) == 1
    assert dropped == {"dialogues without utterances": 1}


def test_the_personachat_sample_is_large_and_whole():
    dialogues = load(personachat, SAMPLE / "persona-chat")
    assert len(dialogues) >= 60 and {each.split for each in dialogues} == {"train", "val"}
    assert all(each.persona and len(each.turns) >= 4 for each in dialogues)


MULTI_SESSION_ROW = {
    "personality": ["I have two dogs. i love hiking.", "My wife is a nurse.", "I have a car.", ""],
    "dialog": [
        "Did you go hiking with your two dogs ?",
        "No, my wife the nurse was ill. i drove the car. And you?",
        "I love hiking, with my dogs too. Your car is new?",
    ],
}


def test_multi_session_chat_gives_each_side_the_facts_that_it_told(rows_corpus):
    dropped = Counter()
    first, second = load(multi_session_chat, rows_corpus(train=[MULTI_SESSION_ROW]), dropped=dropped)
    assert first.persona == ("I have two dogs. I love hiking.",) and second.persona == (
        "My wife is a nurse.",
    )
    assert first.turns[0].text == "Did you go hiking with your two dogs?"
    assert [turn.role for turn in first.turns] == ["assistant", "user", "assistant"]
    assert [turn.role for turn in second.turns] == ["user", "assistant", "user"]
    assert dropped == {"facts of neither speaker for certain": 1}


@pytest.mark.parametrize(
    ("first", "second", "is_firsts"),
    [
        ("Cats and dogs.", "Hi.", True),
        ("Cats.", "Hi.", False),
        ("Cats, dogs, birds.", "Cats and dogs!", True),
        ("Cats and dogs.", "Cats and dogs!", False),
        ("Cats, dogs, birds, fish.", "Cats, dogs, birds, fish!", False),
    ],
)
def test_a_fact_is_of_who_says_half_of_its_words_and_a_quarter_more_than_the_other(first, second, is_firsts):
    turns = (Turn("user", first), Turn("assistant", second))
    fact = "Cats, dogs, birds, fish."
    personas = multi_session_chat._attributed(turns, [fact])
    assert personas == {"user": (fact,) * is_firsts, "assistant": ()}


def test_a_fact_that_was_noted_down_twice_is_told_once(rows_corpus):
    row = {**MULTI_SESSION_ROW, "personality": ["My wife is a nurse.", "my wife is a nurse ."]}
    dropped = Counter()
    [dialogue] = load(multi_session_chat, rows_corpus(train=[row]), dropped=dropped)
    assert dialogue.persona == ("My wife is a nurse.",)
    assert not dropped, "whose it is was certain"


@pytest.mark.parametrize(
    ("loader", "raw", "clean"),
    [
        (daily_dialog, "Say , Jim , got a minute ? ", "Say, Jim, got a minute?"),
        (multi_session_chat, "I'm  at home,\ttoday.", "I'm at home, today."),
    ],
)
def test_utterance_lists(rows_corpus, loader, raw, clean):
    rows = [{"dialog": [raw, "Yes."], "personality": ["I have a boat."]}]
    train, val = load(loader, rows_corpus(train=rows, test=rows))
    assert train.turns == (Turn("user", clean), Turn("assistant", "Yes."))
    assert (train.split, val.split) == ("train", "val") and len(train.views()) == 2
    [published, _] = load(loader, rows_corpus("again", train=rows, test=rows), keep_raw_text=True)
    assert published.turns[0].text == raw.strip()


def test_around_an_empty_utterance_one_of_two_speakers_goes_on(rows_corpus):
    [dialogue] = load(daily_dialog, rows_corpus(train=[{"dialog": ["Hi.", " ", "Anybody there?", "Yes."]}]))
    assert dialogue.turns == (Turn("user", "Hi. Anybody there?"), Turn("assistant", "Yes."))


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("daily_dialog", [{"dialog": ["Hi.", "Yes."]}, {"dialog": ["Hi.", None]}]),
        (
            "personachat",
            [PERSONACHAT_ROW, {"personality": ["i sing ."], "utterances": [{"history": ["hi !"]}]}],
        ),
        ("multi_session_chat", [{"dialog": ["Hi.", "Yes."], "personality": p} for p in (["I sing."], None)]),
    ],
)
def test_a_row_that_is_no_dialogue_is_named(rows_corpus, name, rows):
    path = rows_corpus(train=rows)
    with refused(begins=f"--corpora {name}={path}: the row after dialogue 1 is none"):
        load_corpora([f"{name}={path}"])


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("daily_dialog", {"dialog": "['Hi there . ' ' Yes , hello . ']"}),
        ("multi_session_chat", {"dialog": ["Hi.", "Yes."], "personality": "I sing."}),
        ("multi_session_chat", {"dialog": {"text": ["Hi.", "Yes."]}, "personality": ["I sing."]}),
        ("personachat", {**PERSONACHAT_ROW, "personality": "i sing ."}),
        ("personachat", {**PERSONACHAT_ROW, "utterances": [{"history": "hi !", "candidates": ["yes ."]}]}),
        ("personachat", {**PERSONACHAT_ROW, "utterances": [{"history": ["hi !"], "candidates": "yes ."}]}),
    ],
)
def test_letters_are_no_turns(rows_corpus, name, row):
    """As of the one text that a table of CSV has in place of a list."""
    with pytest.raises(UserError, match=r"the row after dialogue 0 is none .* in place of a list of texts"):
        load_corpora([f"{name}={rows_corpus(train=[row], validation=[row])}"])


def test_what_cannot_be_read_is_named_in_one_line(rows_corpus, tmp_path):
    wrong = rows_corpus("wrong", train=[{"text": "hi"}])
    empty = tmp_path / "empty"
    empty.mkdir()
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "train-1.jsonl").write_text('{"dialog": ["Hi.", "Hi."]}\n')
    (mixed / "train-2.jsonl").write_text('{"text": "Hi."}\n')
    cases = [
        (daily_dialog, mixed, "no usable dataset"),
        (personachat, wrong, "split `train` has no column `personality`, `utterances` (it has text)"),
        (daily_dialog, wrong, "has no column `dialog`"),
        (personachat, empty, "no usable dataset"),
        (personachat, tmp_path / "nowhere", "no such file or folder"),
        (personachat, None, "the Hub cannot be reached (offline mode)"),
        (daily_dialog, None, "give its path as daily_dialog=FOLDER"),
        (multi_session_chat, None, "give its path as multi_session_chat=FOLDER"),
    ]
    for loader, path, problem in cases:
        with refused(problem, begins="--corpora "):
            load(loader, path)


def test_a_file_that_changed_and_kept_its_time_is_read_anew(rows_corpus):
    """As a copy or an archive keeps it; `datasets` would give what it had read before."""
    folder = rows_corpus(train=[PERSONACHAT_ROW])
    [file] = [each for each in folder.rglob("*") if each.is_file()]
    before, times = load(personachat, folder), file.stat()
    file.write_text(file.read_text().replace("cats", "owls"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "owls" in load(personachat, folder)[0].persona[0] and "cats" in before[0].persona[0]


@pytest.mark.slow
def test_a_full_disk_is_not_blamed_on_the_dataset(tmp_path):
    flags = ["--corpora", f"personachat={SAMPLE / 'persona-chat'}", "--output", tmp_path / "data"]
    flags += ["--tokenizer", ROOT / "models" / "pocket-base"]
    environment = {"HF_HOME": str(tmp_path / "home")}
    done = python("-c", ON_A_FULL_DISK, 1000, "data_scripts.prepare", *flags, environment=environment)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    said = done.stderr.splitlines()[-1]
    assert "persona-chat: the libraries' cache cannot be written ([Errno 27] File too large" in said
    assert said.endswith("; make room, or set HF_HOME to a folder on another disk")
