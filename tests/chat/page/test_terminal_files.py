"""Conversations between page and terminal: a file that the browser downloaded, and one that /save wrote."""

import json

import pytest

from tests.chat.page.conftest import Visitor
from tests.processes import python


@pytest.mark.slow
def test_a_conversation_goes_from_the_page_to_the_terminal_and_back(chromium, address, visitor, tmp_path):
    visitor.page.get_by_label("Who the bot is").fill("I am a sailor.\nI have a dog.")
    reply = visitor.say("Where do you live?")
    visitor.open_side_bar()
    with visitor.page.expect_download() as download:
        visitor.press("Export")
    exported, saved = tmp_path / "exported.json", tmp_path / "saved.json"
    download.value.save_as(exported)
    said = f"/load {exported}\n/persona\nAnd what do you do?\n/save {saved}\n"
    done = python("-m", "chat", "--model", "models/pocket", says=said, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"You: Where do you live?\nGPT-2: {reply}\n" in done.stdout
    assert "/persona\nI am a sailor.\nI have a dog.\n" in done.stdout
    other = Visitor(chromium, address)
    other.open_side_bar()
    other.import_file(saved)
    turns = json.loads(saved.read_text(encoding="utf-8"))["turns"]
    shown = [("user" if turn["role"] == "user" else "bot", turn["content"]) for turn in turns]
    other.until(lambda: other.messages() == shown)
    assert len(shown) == 4 and other.persona() == "I am a sailor.\nI have a dog."
    other.context.close()
