"""The fields beside the chat: who the bot is, and how its replies are drawn."""

from __future__ import annotations

import json

import gradio as gr

from chat.decoding import LIMITS, DecodingSettings
from chat.personas import FIRST, PRESETS, random_persona
from chat.session import MAX_PERSONA_SENTENCES

OWN_WORDS = "My own words"
# Not an empty field: to programs a field without a value is one that must be given.
ANY_SEED = -1


def persona_control() -> gr.Textbox:
    """The text, from which everything else reads the persona, beside what fills it."""
    preset = gr.Dropdown([*PRESETS, OWN_WORDS], value=FIRST, label="Persona", filterable=False)
    text = gr.Textbox(
        "\n".join(PRESETS[FIRST]),
        label="Who the bot is",
        info=f"One sentence a line, in the first person, at most {MAX_PERSONA_SENTENCES}. "
        "A change holds from the next reply on.",
        lines=4,
        max_lines=MAX_PERSONA_SENTENCES,
    )
    surprise = gr.Button("Surprise me", size="sm")
    preset.input(
        lambda name: "\n".join(PRESETS[name]) if name in PRESETS else gr.skip(), preset, text, queue=False
    )
    surprise.click(lambda: "\n".join(random_persona()), None, text, queue=False)
    # Whatever has changed the text: the visitor, another conversation, a summary.
    names = json.dumps({"\n".join(sentences): name for name, sentences in PRESETS.items()})
    named = f"(text) => new Map(Object.entries({names})).get(text) ?? {json.dumps(OWN_WORDS)}"
    text.change(None, text, preset, js=named, queue=False)
    return text


def decoding_controls(own: DecodingSettings) -> list[gr.components.Component]:
    """Temperature, top-p, top-k, longest reply and best of, with the model's own settings as values."""

    def slider(name: str, step: float, label: str, info: str) -> gr.Slider:
        return gr.Slider(*LIMITS[name], getattr(own, name), step=step, label=label, info=info)

    return [
        slider(
            "temperature",
            0.05,
            "Temperature",
            "Low: the likeliest words, again and again. High: surprising, then nonsense.",
        ),
        slider(
            "top_p", 0.05, "Top-p", "Draws from the likeliest words that have this much of the probability."
        ),
        slider("top_k", 1, "Top-k", "Draws from so many of the likeliest words; 0 is all."),
        slider("max_new_tokens", 1, "Longest reply", "In tokens, about 4 for 3 words."),
        slider(
            "best_of",
            1,
            "Best of",
            "Thinks of so many replies and says the one that fits this conversation best.",
        ),
    ]


def seed_control() -> gr.Number:
    return gr.Number(
        ANY_SEED,
        label="Seed",
        info="The same seed draws the same reply; -1: another one each time.",
        precision=0,
        minimum=ANY_SEED,
    )
