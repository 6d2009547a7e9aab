"""PersonaChat (Zhang et al., 2018) in the columns of its parquet copy on the Hub, read with `datasets`.

`personality` is the persona of the second speaker, who is the assistant; each item of `utterances` holds the
`history` so far and `candidates`, of which the last is the true reply. In validation the others are kept.

In training rows of some copies the persona is the first speaker's, as the words that each says tell: a model
would learn that personas mean nothing. There the sides are exchanged. Validation stays as published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from chat.dialogue import ASSISTANT, USER, Dialogue, Turn, alternating_turns, swapped, with_distractors
from data_scripts.personas import shares_told
from data_scripts.rows import cleaner, listed, rows_by_split

NAME = "personachat"
HUB_ID = "AlekseyKorshuk/persona-chat"
SILENCE = "__ SILENCE __"


def load(path: str | None, keep_raw_text: bool, dropped: Counter) -> Iterator[Dialogue]:
    """Dialogues with the assistant's persona, in the corpus's own split. Arguments as of `cornell.load`."""
    clean = cleaner(keep_raw_text)
    for split, row in rows_by_split(NAME, path or HUB_ID, ["personality", "utterances"]):
        if not row["utterances"]:
            dropped["dialogues without utterances"] += 1
            continue
        last = row["utterances"][-1]
        texts = [*listed(last["history"]), listed(last["candidates"])[-1]]
        persona = tuple(sentence for sentence in map(clean, listed(row["personality"])) if sentence)
        turns = alternating_turns(_with_roles(texts, clean), dropped)
        if split == "train" and _is_the_users(persona, turns):
            dropped["attributions of a persona to the speaker who does not tell it"] += 1
            turns = swapped(turns)
        if split == "val":
            turns = with_distractors(turns, _distractors(row["utterances"], clean))
        yield Dialogue(NAME, turns, persona, split=split)


def _is_the_users(persona: tuple[str, ...], turns: tuple[Turn, ...]) -> bool:
    told = shares_told(turns, " ".join(persona))
    return told[USER] > told[ASSISTANT]


def _distractors(utterances: list[dict], clean: Callable[[str], str]) -> dict[str, tuple[str, ...]]:
    """By true reply, the other candidates."""
    cleaned = (map(clean, each["candidates"]) for each in utterances)
    return {true: tuple(text for text in others if text and text != true) for *others, true in cleaned}


def _with_roles(texts: list[str], clean: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """The last text is the assistant's, and the sides take turns; a side's silence is an empty text."""
    for distance, text in zip(reversed(range(len(texts))), texts, strict=True):
        role = ASSISTANT if distance % 2 == 0 else USER
        yield role, "" if text.strip() == SILENCE else clean(text)
