"""The chat in a terminal and for scripts: what is read, what is shown, and the commands between the lines."""


class BadCommand(ValueError):
    """A command that cannot be obeyed and changed nothing. One line: what is wrong, what to do."""
