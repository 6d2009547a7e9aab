"""What reaches a terminal."""

from chat.printable import printable


def test_what_a_terminal_would_obey_becomes_a_mark():
    text = "red \x1b[31m\x9b1m bell\x07 back\x08 return\r null\x00 del\x7f title\x1b]0;x\x07"
    assert printable(text) == (
        "red \ufffd[31m\ufffd1m bell\ufffd back\ufffd return\ufffd null\ufffd del\ufffd title\ufffd]0;x\ufffd"
    )
    assert printable("\u202eright\u2066 \ud83d \u2028") == "\ufffdright\ufffd \ufffd \ufffd"
    hebrew = "\u05e9\u05dc\u05d5\u05dd\u200f! \u061c\u200e"
    assert printable(hebrew) == hebrew
    whole = "Grüß dich, 你好 \U0001f468\u200d\U0001f469\n\tnext [bold]line[/bold] :smile:"
    assert printable(whole) == whole
