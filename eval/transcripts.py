"""Conversations of two speakers: their figures, the table of these, and the transcripts to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chat.dialogue import persona_text
from chat.engine import FALLBACK_REPLY
from chat.markdown import code_span, escaped
from eval.figures import Figures, as_figures, metric
from eval.report import describe_model
from eval.table import ARROWS, LOWER, Figure, Table, figure

SPEAKERS = ("A", "B")
COLUMNS = {"all": "all replies", "model": "model", "other_model": "other model"}
FIGURES = (
    *(figure("sampled", key) for key in ("distinct_1", "distinct_2", "entropy_4")),
    *(figure("sampled", key) for key in ("self_repetition", "earlier_repetition", "repeated_replies")),
    Figure("copied_from_partner", "copied from the partner", better=LOWER),
    *(figure("sampled", key) for key in ("persona_use", "persona_overlap", "mean_words", "questions")),
    figure("sampled", "empty"),
    Figure("fallback", "fallback sentences", better=LOWER),
    Figure("looping_conversations", "conversations that fell into a loop", better=LOWER),
)


@dataclass(frozen=True)
class Reply:
    """What a speaker said, and what stood before it.

    Attributes:
        own: the speaker's earlier turns.
        partner: the other speaker's.
    """

    text: str
    persona: tuple[str, ...]
    own: list[str]
    partner: list[str]


@dataclass(frozen=True)
class Conversation:
    """A transcript. Its first turn is the opener, which no model wrote.

    Attributes:
        seed: of all that was drawn for it.
        models, personas: by speaker.
        turns: (speaker, text), the speakers alternating.
    """

    number: int
    seed: int
    models: dict[str, str]
    personas: dict[str, tuple[str, ...]]
    turns: tuple[tuple[str, str], ...]

    def replies(self, speakers: Sequence[str] = SPEAKERS) -> list[Reply]:
        """What the models wrote for these speakers."""
        found = []
        for index, (speaker, text) in enumerate(self.turns):
            if index and speaker in speakers:
                own = [said for who, said in self.turns[:index] if who == speaker]
                partner = [said for who, said in self.turns[:index] if who != speaker]
                found.append(Reply(text, self.personas[speaker], own, partner))
        return found

    def is_looping(self) -> bool:
        return bool(_loops([self])["looping_conversations"])

    def to_json(self) -> dict:
        return {
            "conversation": self.number,
            "seed": self.seed,
            "models": self.models,
            "personas": {speaker: list(persona) for speaker, persona in self.personas.items()},
            "looping": self.is_looping(),
            "turns": [{"speaker": speaker, "text": text} for speaker, text in self.turns],
        }


def _loops(conversations: Sequence[Conversation]) -> dict[str, float]:
    utterances = [[text for _, text in each.turns] for each in conversations]
    return metric("conversation_loops").compute(predictions=utterances)


def figures_by_row(conversations: Sequence[Conversation], are_two_models: bool) -> dict[str, Figures]:
    """The figures of all replies and of the conversations; of two models also each one's.

    A model that wrote no reply has no row.
    """
    rows = {"all": reply_figures([reply for each in conversations for reply in each.replies()])}
    rows["all"] |= as_figures(_loops(conversations))
    if are_two_models:
        for row, speaker in zip(("model", "other_model"), SPEAKERS, strict=True):
            replies = [reply for each in conversations for reply in each.replies((speaker,))]
            rows |= {row: reply_figures(replies)} if replies else {}
    return rows


def reply_figures(replies: Sequence[Reply]) -> Figures:
    """Variety, repetition, use of the persona and shape of replies."""
    texts = [reply.text for reply in replies]
    repetition = metric("repetition").compute(
        predictions=texts,
        earlier=[reply.own for reply in replies],
        prompts=[" ".join(reply.partner) for reply in replies],
    )
    persona_use = metric("persona_use").compute(
        predictions=texts, references=[list(reply.persona) for reply in replies]
    )
    computed = {
        **metric("distinct_n").compute(predictions=texts),
        **metric("entropy_n").compute(predictions=texts),
        "copied_from_partner": repetition.pop("copied_share"),
        **repetition,
        **persona_use,
        **metric("reply_shape").compute(
            predictions=texts, fallback=[text == FALLBACK_REPLY for text in texts]
        ),
        "replies": len(texts),
    }
    return as_figures(computed)


def render_figures(results: dict) -> str:
    """The models, the table of their figures, and what these were taken from, in Markdown."""
    rows, settings = results["figures"], results["settings"]
    lines = [
        (each.label, [each.write(figures.get(each.key)) for figures in rows.values()]) for each in FIGURES
    ]
    models = (describe_model(row.replace("_", " "), model) for row, model in results["models"].items())
    amount = (
        f"{rows['all']['replies']['value']:,.0f} replies in {settings['conversations']:,} conversations of "
        f"{settings['turns']} turns."
    )
    table = Table([COLUMNS[row] for row in rows], lines).to_markdown()
    return "\n".join([" ".join(models), "", f"{ARROWS}.", "", *table, "", amount]) + "\n"


def render_transcripts(conversations: Sequence[Conversation]) -> str:
    """The conversations to read, in Markdown."""
    lines = ["# Transcripts"]
    for each in conversations:
        loop = " (fell into a loop)" if each.is_looping() else ""
        lines += ["", f"## Conversation {each.number}{loop}", ""]
        lines += [
            f"- {speaker} is {code_span(each.models[speaker])}: "
            f"{escaped(persona_text(each.personas[speaker]))}"
            for speaker in SPEAKERS
        ]
        for speaker, text in each.turns:
            lines += ["", f"**{speaker}:** {escaped(text)}"]
    return "\n".join(lines) + "\n"
