"""The commands of the terminal chat: functions of the conversation and of what stands after their name."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chat.cli import suggestion
from chat.dialogue import USER
from chat.personas import random_persona
from chat.session import (
    MAX_PERSONA_SENTENCE_CHARACTERS,
    MAX_PERSONA_SENTENCES,
    ChatSession,
    message_from,
    persona_from,
)
from chat.template import without_halves
from chat.terminal import BadCommand, settings
from chat.terminal.files import path_from, read_file, write_file

if TYPE_CHECKING:
    from chat.terminal.conversation import Conversation

EXIT = ("exit", "/exit", "/quit")
SHOWN_TURNS = 4
SHOWN_CHARACTERS = 60
RANDOM, NOBODY = "random", "none"


@dataclass(frozen=True)
class Command:
    """
    Attributes:
        takes: what can stand after it, for the help; empty for nothing.
        help: what it does, in a few words.
    """

    run: Callable[[Conversation, str], None]
    takes: str
    help: str


def obey(conversation: Conversation, line: str) -> None:
    """Does what a line that begins with `/` says.

    Raises:
        BadCommand: it cannot be done; nothing has changed.
    """
    name, _, rest = line.partition(" ")
    command = COMMANDS.get(name.lower())
    if command is None:
        guess = suggestion(name.lower(), COMMANDS)
        raise BadCommand(f"{name}: no such command{guess}; /help lists them (//text says /text)")
    if rest and not command.takes:
        raise BadCommand(f"{name}: takes nothing after it")
    command.run(conversation, rest.strip())


def persona_of(sentences: list[str]) -> tuple[tuple[str, ...], str]:
    """A persona within the limits, and a line on what that left out, or an empty one."""
    persona = persona_from(sentences)
    is_whole = [*persona] == [each for given in sentences if (each := message_from(given))]
    limits = f"at most {MAX_PERSONA_SENTENCES} sentences of {MAX_PERSONA_SENTENCE_CHARACTERS} characters"
    return persona, "" if is_whole else f"A persona has {limits}; the rest was left out."


def _persona(conversation: Conversation, typed: str) -> None:
    session, left_out = conversation.session, ""
    if typed.lower() == RANDOM:
        session.persona = random_persona()
    elif typed.lower() == NOBODY:
        session.persona = ()
    elif typed:
        from sentencex import segment

        # A keyboard of another encoding gives halves of characters, which the segmenter cannot take.
        text = without_halves(" ".join(typed.split()))
        session.persona, left_out = persona_of([*segment("en", text)])
    for line in session.persona or ("Nobody in particular. /persona I have two cats. I am a nurse.",):
        conversation.screen.note(line)
    if left_out:
        conversation.screen.hint(left_out)


def _set(conversation: Conversation, typed: str) -> None:
    session, screen = conversation.session, conversation.screen
    own = session.engine.settings
    if not typed:
        screen.note(settings.listing(session.settings, own))
        return
    if len(typed.split()) == 1 and "=" not in typed and typed.lower() != settings.DEFAULT:
        screen.note(settings.line(settings.known_name(typed), session.settings, own))
        return
    before = session.settings
    session.settings, corrections = settings.changed(typed, before, own)
    for line in corrections:
        screen.hint(line)
    different = [name for name in settings.NAMES if getattr(before, name) != getattr(session.settings, name)]
    for name in different:
        screen.note(settings.line(name, session.settings, own))
    if not different and not corrections:
        screen.note("That is how it was.")


def _reset(conversation: Conversation, _: str) -> None:
    if conversation.session.turns:
        conversation.remember()
    conversation.session.reset()
    conversation.file = None
    conversation.screen.note("Forgotten, but for the persona. /undo brings it back.")


def _undo(conversation: Conversation, _: str) -> None:
    conversation.rejected = []
    if conversation.before:
        conversation.session, conversation.file = conversation.before
        conversation.before = None
        conversation.screen.note(f"Back in the conversation of {_count(conversation.session.turns, 'turn')}.")
        return
    turns = conversation.session.turns
    text = turns[place := _last_message(conversation.session, "/undo")]["content"]
    del turns[place:]
    conversation.screen.note(f"Taken back: {_shortened(text)}")


def _retry(conversation: Conversation, _: str) -> None:
    session, own = conversation.session, conversation.session.settings
    place = _last_message(session, "/retry")
    if not own.do_sample:
        raise BadCommand("/retry: would say the same again; `/set do_sample on` first")
    replaced = session.turns[place:]
    del session.turns[place:]
    conversation.rejected += [turn["content"] for turn in replaced[1:]]
    if own.seed is not None:
        retries = len(conversation.rejected)
        session.settings = own.changed(seed=random.Random(f"{own.seed} {retries}").getrandbits(32))
    try:
        conversation.answer(replaced[0]["content"])
    finally:
        session.settings = own
        if len(session.turns) == place:
            session.turns += replaced


def _save(conversation: Conversation, typed: str, may_replace: bool = False) -> None:
    own = conversation.file
    path = own.path if own and not typed else path_from(typed, "/save")
    conversation.file = write_file(path, conversation.session.to_json(), own, may_replace)
    conversation.screen.note(f"Saved {_count(conversation.session.turns, 'turn')} to {path}")


def _load(conversation: Conversation, typed: str) -> None:
    file = read_file(path_from(typed, "/load"))
    session = conversation.session
    try:
        loaded = ChatSession.from_json(session.engine, file.content)
    except ValueError as error:
        raise BadCommand(f"/load {file.path}: {error}; the conversation stays as it was") from None
    conversation.remember()
    conversation.session = replace(loaded, settings=loaded.settings or session.settings)
    conversation.file = file
    conversation.show_last(SHOWN_TURNS)
    for line in settings.corrections(
        json.loads(file.content).get("settings") or {}, conversation.session.settings
    ):
        conversation.screen.hint(line)
    kept = "the file's" if loaded.settings else "as they were"
    conversation.screen.note(
        f"Loaded {_count(loaded.turns, 'turn')}, a persona of {_count(loaded.persona, 'sentence')}; settings "
        f"{kept}."
    )


def _help(conversation: Conversation, _: str) -> None:
    shown = {f"{name} {each.takes}".strip(): each.help for name, each in COMMANDS.items()}
    shown |= {"exit": "leaves, as does Ctrl-D", "Ctrl-C": "stops a reply, drops a line; twice leaves"}
    width = max(map(len, shown))
    conversation.screen.note("\n".join(f"{name:<{width}}  {what}" for name, what in shown.items()))


def _last_message(session: ChatSession, command: str) -> int:
    """The place of the user's last message.

    Raises:
        BadCommand: there is none.
    """
    places = [place for place, turn in enumerate(session.turns) if turn["role"] == USER]
    if not places:
        raise BadCommand(f"{command}: nothing has been said yet")
    return places[-1]


def _count(items: Sequence, what: str) -> str:
    return f"{len(items)} {what}{'' if len(items) == 1 else 's'}"


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS].rstrip()}..."


COMMANDS = {
    "/persona": Command(_persona, "[SENTENCES]", "shows or changes who the bot is; also: random, none"),
    "/set": Command(_set, "[NAME VALUE]", "shows or changes how replies are drawn; also: default"),
    "/reset": Command(_reset, "", "forgets what was said"),
    "/undo": Command(_undo, "", "takes back your last message, or a /reset or /load"),
    "/retry": Command(_retry, "", "draws another reply to your last message"),
    "/save": Command(_save, "[FILE]", "keeps the conversation as JSON, in no file of others"),
    "/save!": Command(lambda conversation, typed: _save(conversation, typed, True), "[FILE]", "in any file"),
    "/load": Command(_load, "FILE", "goes on with a saved one, or one that the page exported"),
    "/help": Command(_help, "", "lists the commands"),
}
COMPLETIONS: dict[str, list[str] | None] = {
    **{name: [] for name in COMMANDS},
    "/persona": [RANDOM, NOBODY],
    "/set": [*settings.NAMES, settings.DEFAULT],
    **dict.fromkeys(("/save", "/save!", "/load")),
}
