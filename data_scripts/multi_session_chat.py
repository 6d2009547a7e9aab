"""Multi-Session Chat (Xu et al., 2022), read with `datasets`: cased conversations between acquaintances.

The column `personality` holds facts that were noted down from the conversation, of both speakers, without
saying whose. A fact belongs to the speaker who said most of its words; where that is not clear it is left
out. Each side that has facts takes the assistant's part, with its facts as the persona; a conversation
without any is told without persona, and then both sides do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from chat.dialogue import ASSISTANT, USER, Dialogue, Turn, swapped
from data_scripts.personas import shares_told
from data_scripts.rows import cleaner, listed, rows_by_split, turns_of_two

NAME = "multi_session_chat"
# Of a fact's words: what its speaker must have said at least, and how much more than the other one.
SAID = 0.5
SAID_MORE = 0.25


def load(path: str | None, keep_raw_text: bool, dropped: Counter) -> Iterator[Dialogue]:
    """Dialogues in the corpus's own split. See `cornell.load` for the arguments."""
    clean = cleaner(keep_raw_text)
    for split, row in rows_by_split(NAME, path, ["personality", "dialog"]):
        facts = [fact for fact in dict.fromkeys(map(clean, listed(row["personality"]))) if fact]
        yield from _sides(turns_of_two(map(clean, listed(row["dialog"])), dropped), facts, split, dropped)


def _sides(turns: tuple[Turn, ...], facts: list[str], split: str, dropped: Counter) -> Iterator[Dialogue]:
    personas = _attributed(turns, facts)
    if doubtful := len(facts) - sum(map(len, personas.values())):
        dropped["facts of neither speaker for certain"] += doubtful
    if not any(personas.values()):
        yield Dialogue(NAME, turns, split=split)
    for side, persona in personas.items():
        if persona:
            seen = turns if side == ASSISTANT else swapped(turns)
            yield Dialogue(NAME, seen, persona, split=split)


def _attributed(turns: Sequence[Turn], facts: list[str]) -> dict[str, tuple[str, ...]]:
    """By role, the facts that its speaker told."""
    personas: dict[str, list[str]] = {USER: [], ASSISTANT: []}
    for fact in facts:
        share = shares_told(turns, fact)
        speaker = max(share, key=share.__getitem__)
        if share[speaker] >= SAID and 2 * share[speaker] - sum(share.values()) >= SAID_MORE:
            personas[speaker].append(fact)
    return {role: tuple(found) for role, found in personas.items()}
