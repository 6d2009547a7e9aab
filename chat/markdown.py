"""Names that somebody chose, written so that Markdown shows them and neither it nor HTML obeys them."""

from __future__ import annotations

import html
import re

from chat.printable import printable


def on_one_line(text: str) -> str:
    # Reports are printed, too.
    return printable(" ".join(text.split()))


def escaped(text: str) -> str:
    """The text in a paragraph, a heading or a table's cell."""
    with_entities = html.escape(on_one_line(text), quote=False)
    # An underscore within a word is no emphasis, and corpora and settings are full of them.
    return re.sub(r"(?<!\w)_|_(?!\w)|[\\`*\[\]|~#$]", r"\\\g<0>", with_entities)


def code_span(text: str) -> str:
    """The text as it stands, as code; its backticks are fenced off by a longer fence."""
    text = on_one_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    padding = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{padding}{text}{padding}{fence}"
