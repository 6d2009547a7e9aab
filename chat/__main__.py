"""The terminal chat.

python -m chat                                   # the model you trained, else the embedded one
python -m chat --model user/model --persona "I have two cats." "I am a nurse."
python -m chat --once "Do you have any pets?"    # prints one reply
python -m chat < questions.txt > conversation.txt
"""

from __future__ import annotations

import sys
from contextlib import closing

from chat.cli import UserError, parse_arguments, run
from chat.terminal.arguments import ChatArguments


def main() -> None:
    arguments = parse_arguments(ChatArguments, description=__doc__)
    from chat.engine import MODEL_VARIABLE, default_model, load_engine
    from chat.terminal.conversation import answer_once, converse
    from chat.terminal.screen import screen_for

    screen, model = screen_for(sys.stdout), arguments.model or default_model()
    flag = "--model" if arguments.model else MODEL_VARIABLE
    if arguments.once is None and sys.stdin.isatty() and sys.stdout.isatty():
        # It takes seconds, for which somebody sits and waits.
        screen.note(f"Loading {model} ...")
    with closing(load_engine(model, flag, arguments.engine)) as engine:
        if arguments.once is not None:
            answer_once(engine, arguments, screen)
            return
        conversation = converse(engine, arguments, screen)
    if conversation.failures and not conversation.lines.is_keyboard:
        raise UserError(f"{conversation.failures} of the lines could not be obeyed or answered; see above")


if __name__ == "__main__":
    run(main)
