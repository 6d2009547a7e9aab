"""/save and /load: whole files, never another's, and the page's."""

import json
import os
import resource
import stat

import pytest

from chat.terminal import BadCommand
from chat.terminal.files import MAX_FILE_BYTES, KeptFile, path_from, read_file, write_file


def test_a_conversation_goes_on_as_it_was_saved(talk, tmp_path):
    file = tmp_path / "talk.json"
    saved, _ = talk("/persona I have a dog.", "/set top_k 7", "Hi!", "And now?", f"/save {file}")
    loaded, printed = talk(f"/load '{file}'")
    assert loaded.session == saved.session
    assert "Loaded 4 turns, a persona of 1 sentence; settings the file's." in printed
    assert "turns before" not in printed
    assert (
        talk("Why?", conversation=loaded)[0].session.turns
        == talk("Why?", conversation=saved)[0].session.turns
    )


def test_a_file_in_the_page_s_form_takes_the_settings_as_they_are(talk, tmp_path):
    file = tmp_path / "conversation.json"
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    file.write_text(json.dumps({"persona": ["I sing."], "turns": turns, "settings": None}))
    conversation, printed = talk("/set top_k 7", f"/load {file}")
    assert conversation.session.persona == ("I sing.",) and conversation.session.turns == turns
    assert conversation.session.settings.top_k == 7 and "settings as they were" in printed
    assert "You: Hi\nGPT-2: Hello.\n" in printed


def test_of_a_long_conversation_the_last_turns_are_shown(talk, tmp_path):
    said = [(role, f"{number} {role}") for number in range(3) for role in ("user", "assistant")]
    turns = [{"role": role, "content": text} for role, text in said]
    (tmp_path / "long.json").write_text(json.dumps({"turns": turns}))
    _, printed = talk(f"/load {tmp_path / 'long.json'}")
    assert "... 2 turns before\nYou: 1 user\nGPT-2: 1 assistant\nYou: 2 user\nGPT-2: 2 ass" in printed


def test_settings_of_a_file_beyond_the_limits_are_told(talk, tmp_path, capsys):
    file = tmp_path / "hot.json"
    file.write_text(json.dumps({"settings": {"temperature": 99, "top_p": 0.5}}))
    conversation, _ = talk(f"/load {file}")
    assert conversation.session.settings.temperature == 1.5
    assert capsys.readouterr().err == "temperature 99 is not possible: 1.5 is taken\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe\xfa", "is not JSON"),
        (b'{"turns": 5}', "`turns` must be a list"),
        (b'{"turns": [], "more": 1}', "must be an object of `persona`, `turns` and `settings`"),
        (b"[" * 100_000, "is not JSON"),
        (b" " * (MAX_FILE_BYTES + 1), "has more than 16 MiB"),
    ],
)
def test_a_file_that_is_no_conversation_changes_nothing(talk, tmp_path, capsys, content, problem):
    conversation, _ = talk("/persona I have a cat.", "Hi!")
    before = conversation.session.to_json()
    (tmp_path / "bad.json").write_bytes(content)
    conversation, _ = talk(f"/load {tmp_path / 'bad.json'}", conversation=conversation)
    [hint] = capsys.readouterr().err.splitlines()
    assert problem in hint and conversation.session.to_json() == before


def test_saving_never_replaces_another_file_unless_told_to(talk, tmp_path, capsys):
    file = tmp_path / "notes.json"
    file.write_text("mine")
    conversation, _ = talk("Hi!", f"/save {file}")
    assert file.read_text() == "mine"
    assert capsys.readouterr().err == f"/save {file}: exists; `/save! FILE` replaces it\n"
    conversation, _ = talk(f"/save! {file}", "More.", f"/save {file}", "/save", conversation=conversation)
    assert len(json.loads(file.read_text())["turns"]) == 4 and capsys.readouterr().err == ""
    file.write_text("changed since")
    conversation, _ = talk("/save", conversation=conversation)
    assert file.read_text() == "changed since"
    assert "was changed by somebody else; `/save! FILE` replaces it" in capsys.readouterr().err
    # At the same length, too.
    talk(f"/save! {file}", conversation=conversation)
    file.write_text(file.read_text().replace("Hi!", "Ho!"))
    talk("/save", conversation=conversation)
    assert "Ho!" in file.read_text() and "was changed by somebody else" in capsys.readouterr().err


def test_a_conversation_with_a_file_is_saved_in_another_and_in_no_file_of_others(talk, tmp_path, capsys):
    first, second, others = (tmp_path / f"{name}.json" for name in ("first", "second", "others"))
    others.write_text("mine")
    conversation, _ = talk("Hi!", f"/save {first}", f"/save {others}", f"/save {second}")
    assert others.read_text() == "mine" and second.read_text() == first.read_text()
    assert capsys.readouterr().err == f"/save {others}: exists; `/save! FILE` replaces it\n"
    # /undo brings the file back with the conversation.
    talk("/reset", "/undo", "More.", "/save", conversation=conversation)
    assert len(json.loads(second.read_text())["turns"]) == 4 and capsys.readouterr().err == ""


def test_after_a_reset_the_old_conversation_s_file_is_another_s(talk, tmp_path, capsys):
    file = tmp_path / "talk.json"
    conversation, _ = talk("Hi!", f"/save {file}", "/reset", "New.", f"/save {file}")
    assert "exists; `/save! FILE` replaces it" in capsys.readouterr().err
    assert json.loads(file.read_text())["turns"][0]["content"] == "Hi!"
    talk("/undo", f"/load {file}", "More.", "/save", conversation=conversation)
    assert len(json.loads(file.read_text())["turns"]) == 4


def test_a_full_disk_leaves_the_old_file(tmp_path):
    file = tmp_path / "talk.json"
    own = write_file(file, "old", None, may_replace=False)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(BadCommand, match="cannot be written"):
            write_file(file, "x" * 5000, own, may_replace=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_text() == "old" and [*tmp_path.iterdir()] == [file]


def test_a_new_file_is_its_owner_s_and_an_old_one_keeps_its_rights(tmp_path):
    file = tmp_path / "talk.json"
    own = write_file(file, "old", None, may_replace=False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    write_file(file, "new", own, may_replace=False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644 and file.read_text() == "new"


def test_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert path_from("~/a b.json", "/save") == path_from('"a b.json"', "/save") == tmp_path / "a b.json"
    assert path_from("'tis.json", "/save") == tmp_path / "'tis.json"
    (tmp_path / "there.json").write_text("x")
    (tmp_path / "link.json").symlink_to("there.json")
    write_file(path_from("link.json", "/save"), "y", None, may_replace=True)
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "there.json").read_text() == "y"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadCommand, match="is no file"):
        read_file(tmp_path / "pipe")
    with pytest.raises(BadCommand, match="is no file"):
        write_file(tmp_path / "pipe", "y", KeptFile(tmp_path / "pipe", b""), may_replace=True)
    with pytest.raises(BadCommand, match="no such path"):
        path_from("a\0b", "/load")
    with pytest.raises(BadCommand, match="no such path"):
        path_from("~nobody-of-this-name/talk.json", "/save")
