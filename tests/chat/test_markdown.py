"""Names in Markdown."""

from chat.markdown import code_span, escaped


def test_markdown_is_escaped():
    assert escaped("a_b_c _d_ <i> & `x` | #") == r"a_b_c \_d\_ &lt;i&gt; &amp; \`x\` \| \#"
    # Of an image its bracket is enough, and transcripts are full of these.
    assert escaped("Hey! ![x](y)") == r"Hey! !\[x\](y)"
    # What is printed as well.
    assert escaped("a\x1b]0;b\x07") == "a\ufffd\\]0;b\ufffd"
    assert code_span("a") == "`a`" and code_span("a`b") == "``a`b``" and code_span("`a") == "`` `a ``"
