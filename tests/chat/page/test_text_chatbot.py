"""Messages on their way to the browser and back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.page.text_chatbot import TextChatbot, meant, shown

MARKUP = re.compile(r"<[A-Za-z/!?]|&[A-Za-z#]")


@given(st.text(st.characters(exclude_characters="\u2060", exclude_categories=["Cs"])))
def test_nothing_that_is_shown_is_markup_and_the_text_comes_back(text):
    assert not MARKUP.search(shown(text)) and meant(shown(text)) == text
    assert shown(shown(text)) == shown(text)


def test_what_is_no_markup_is_left_as_it_is():
    text = "I <3 you & me: 1 < 2 && 3 > 2, R&B"
    assert shown(text) == text.replace("R&B", "R&\u2060B")


@pytest.mark.parametrize("content", ["<b>&lt;", [{"type": "text", "text": "<b>&lt;"}], ["<b>&lt;"]])
def test_the_component_shows_text_in_each_form_and_gives_it_back(content):
    chatbot = TextChatbot()
    [message] = chatbot.postprocess([{"role": "user", "content": content}]).root
    assert [each.text for each in message.content] == [shown("<b>&lt;")]
    [message] = chatbot.preprocess(chatbot.postprocess([{"role": "user", "content": content}]))
    assert [each["text"] for each in message["content"]] == ["<b>&lt;"]


def test_no_option_turns_markup_on():
    chatbot = TextChatbot(render_markdown=True, sanitize_html=False)
    assert not chatbot.render_markdown and chatbot.sanitize_html and chatbot.latex_delimiters == []
    assert chatbot.get_block_name() == "chatbot" and "feedback_options" in chatbot.get_config()
