"""The dialogue record that every corpus becomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

USER = "user"
ASSISTANT = "assistant"
SYSTEM = "system"
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Turn:
    """What one speaker says without interruption.

    Attributes:
        distractors: replies to something else, among which evaluation lets a model find this one.
    """

    role: str
    text: str
    distractors: tuple[str, ...] = ()

    def to_json(self) -> dict:
        record: dict = {"role": self.role, "text": self.text}
        return record | {"distractors": list(self.distractors)} if self.distractors else record


@dataclass(frozen=True)
class Dialogue:
    """A conversation of two speakers.

    Attributes:
        source: name of the corpus.
        turns: at least two, roles alternating.
        persona: first-person sentences about the assistant; empty where the corpus has none, and then the
            roles carry no meaning: either speaker may be learnt from (see `views`).
        group: what must not be divided between training and validation, such as the film.
        split: of `SPLITS` where the corpus brings its own split, else empty.
    """

    source: str
    turns: tuple[Turn, ...]
    persona: tuple[str, ...] = ()
    group: str = ""
    split: str = ""

    def views(self, both_sides: bool = False) -> list[Dialogue]:
        """The dialogue as training sees it: with a persona as it is, else from either speaker's side.

        Args:
            both_sides: with a persona, too, from the user's side, of whom no persona is known.
        """
        if self.persona and not both_sides:
            return [self]
        return [self, replace(self, turns=swapped(self.turns), persona=())]

    def messages(self) -> list[dict[str, str]]:
        """The dialogue as chat messages, the persona as the system message."""
        turns = [{"role": turn.role, "content": turn.text} for turn in self.turns]
        return persona_messages(self.persona) + turns

    def to_json(self) -> dict:
        """The JSONL record of `chat.jsonl`, the format of a user's own corpus."""
        return {
            "source": self.source,
            "group": self.group,
            "persona": list(self.persona),
            "turns": [turn.to_json() for turn in self.turns],
        }


def swapped(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """The turns with the sides exchanged; distractors, which are the assistant's, go."""
    other = {USER: ASSISTANT, ASSISTANT: USER}
    return tuple(Turn(other[turn.role], turn.text) for turn in turns)


def persona_text(persona: Iterable[str]) -> str:
    """The persona's sentences as the one text that the prompt carries."""
    return " ".join(sentence.strip() for sentence in persona if sentence.strip())


def persona_messages(persona: Iterable[str]) -> list[dict[str, str]]:
    """The system message of a persona; none where it says nothing."""
    text = persona_text(persona)
    return [{"role": SYSTEM, "content": text}] if text else []


def alternating_turns(utterances: Iterable[tuple[str, str]], dropped: Counter) -> tuple[Turn, ...]:
    """Turns with alternating roles from (speaker, text) pairs in order.

    Empty texts are left out and counted in `dropped`; what one speaker says in a row is joined into one turn.
    Speakers named `user` and `assistant` keep these roles. Beside one of them all others are the other side;
    without them names stand for the two sides in turn.
    """
    sides = (USER, ASSISTANT)
    utterances = list(utterances)
    named = {*sides} & {speaker for speaker, _ in utterances}
    if len(named) == 1:
        [other] = {*sides} - named
        utterances = [(speaker if speaker in named else other, text) for speaker, text in utterances]
    joined: list[tuple[str, str]] = []
    for speaker, text in utterances:
        if not text:
            dropped["empty utterances"] += 1
        elif joined and joined[-1][0] == speaker:
            joined[-1] = (speaker, f"{joined[-1][1]} {text}")
        else:
            joined.append((speaker, text))
    return tuple(
        Turn(speaker if speaker in sides else sides[index % 2], text)
        for index, (speaker, text) in enumerate(joined)
    )


def with_distractors(turns: Iterable[Turn], distractors: dict[str, tuple[str, ...]]) -> tuple[Turn, ...]:
    """The assistant's turns with the distractors that their texts have in `distractors`."""
    return tuple(
        replace(turn, distractors=distractors.get(turn.text, ())) if turn.role == ASSISTANT else turn
        for turn in turns
    )
