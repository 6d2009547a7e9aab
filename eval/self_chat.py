"""Lets a model talk to itself, or to another model, on two personas, and measures how it repeats itself.

    python -m eval.self_chat --model final_model
    python -m eval.self_chat --model final_model --other-model user/model --conversations 20

The replies come as in the chat: same prompt, same checks, each model's own decoding settings. Writes
`transcripts.md` to read, `transcripts.jsonl`, and the figures as `self_chat.json` to --output.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError, parse_arguments, run
from chat.dialogue import ASSISTANT
from chat.engine import load_engine
from chat.folders import Contents, check_replaceable, whole_folder
from chat.session import MAX_MESSAGE_CHARACTERS, ChatSession
from eval.contenders import Contender
from eval.formats import TemplateFormat
from eval.personas import OWN_PERSONAS, read_personas
from eval.transcripts import SPEAKERS, Conversation, figures_by_row, render_figures, render_transcripts

if TYPE_CHECKING:
    from chat.torch_engine import TorchEngine

FORMAT_VERSION = 1
RESULTS = Contents("self_chat.json", ("transcripts.jsonl", "transcripts.md"))
LIBRARIES = ("torch", "transformers", "tokenizers", "evaluate")
OPENERS = (
    "Hi! How are you today?",
    "Hello! What are you up to?",
    "Good morning! Did you sleep well?",
    "Hi there! Tell me a bit about yourself.",
    "Hey! How was your weekend?",
)


@dataclass(frozen=True)
class SelfChatArguments:
    model: str = field(metadata={"help": "Path or Hub id of the model, speaker A."})
    other_model: str | None = field(
        default=None, metadata={"help": "Path or Hub id of speaker B's model (default: --model)."}
    )
    personas: str | None = field(
        default=None,
        metadata={
            "help": 'Personas to draw from: .jsonl lines {"persona": ["I have two cats."]}, or text with a '
            "sentence a line and an empty line between personas (default: our own)."
        },
    )
    conversations: int = field(default=10, metadata={"help": "Number of conversations."})
    turns: int = field(default=16, metadata={"help": "Turns per conversation, of both, with the opener."})
    opener: str | None = field(
        default=None, metadata={"help": "First turn (default: a greeting, drawn by --seed)."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of personas, greetings and replies."})
    output: str = field(
        default="self_chat_results",
        metadata={"help": "Folder for the results; earlier ones there are replaced."},
    )

    def __post_init__(self):
        if self.conversations < 1:
            raise UserError(f"--conversations {self.conversations}: give 1 or more")
        if self.turns < 2:
            raise UserError(f"--turns {self.turns}: give 2 or more, the opener and a reply")
        if self.opener is None:
            return
        if not self.opener.strip():
            raise UserError("--opener: is empty; give a sentence, or leave the flag out")
        if len(self.opener) > MAX_MESSAGE_CHARACTERS:
            raise UserError(f"--opener: {len(self.opener)} characters; give at most {MAX_MESSAGE_CHARACTERS}")
        if any("\ud800" <= character <= "\udfff" for character in self.opener):
            raise UserError("--opener: is not UTF-8 text; give a sentence in UTF-8")


def self_chat(arguments: SelfChatArguments) -> dict:
    """Holds the conversations and writes them with their figures to `arguments.output`; returns the results.

    Raises:
        UserError: a model, the personas or the output folder cannot be used.
    """
    check_replaceable(arguments.output, RESULTS, "--output")
    personas_file = Path(arguments.personas) if arguments.personas else OWN_PERSONAS
    personas = read_personas(personas_file)
    engines = load_engines(arguments.model, arguments.other_model)
    # Opened before the long work: a folder that cannot be written is found out at once.
    with whole_folder(arguments.output, RESULTS, "--output") as folder:
        conversations = [*converse(engines, personas, arguments)]
        results = {
            "format_version": FORMAT_VERSION,
            "models": {row: _describe(row, engine) for row, engine in _rows(engines).items()},
            "settings": {
                "seed": arguments.seed,
                "conversations": arguments.conversations,
                "turns": arguments.turns,
                "opener": arguments.opener,
                "personas": {"file": personas_file.name, "different": len(personas)},
                "decoding": {row: asdict(engine.settings) for row, engine in _rows(engines).items()},
            },
            "libraries": {library: version(library) for library in LIBRARIES},
            "device": str(engines[0].model.device),
            "figures": figures_by_row(conversations, are_two_models=engines[0] is not engines[1]),
        }
        _write(folder, results, conversations)
    return results


def load_engines(model: str, other_model: str | None) -> tuple[TorchEngine, TorchEngine]:
    """The engines of speakers A and B: one and the same where there is one model.

    They say what the models say, unguarded, in full precision.
    """
    import torch

    engine = load_engine(model, engine="torch", dtype=torch.float32)
    other = engine
    if other_model not in (None, model):
        other = load_engine(other_model, flag="--other-model", engine="torch", dtype=torch.float32)
    engine.guard = other.guard = None
    return engine, other


def _rows(engines: tuple[TorchEngine, TorchEngine]) -> dict[str, TorchEngine]:
    model, other_model = engines
    return {"model": model} | ({} if other_model is model else {"other_model": other_model})


def _describe(row: str, engine: TorchEngine) -> dict:
    return Contender(row, engine.name, engine.model, TemplateFormat(engine.tokenizer)).describe()


def converse(
    engines: tuple[TorchEngine, TorchEngine],
    personas: Sequence[tuple[str, ...]],
    arguments: SelfChatArguments,
) -> Iterator[Conversation]:
    """The conversations, each from a seed of its own: more of them leave the first ones as they are."""
    from tqdm.auto import tqdm

    seeds = random.Random(arguments.seed)
    replies = arguments.conversations * (arguments.turns - 1)
    with tqdm(total=replies, desc="talking", unit=" replies") as progress:
        for number in range(1, arguments.conversations + 1):
            yield talk(engines, personas, arguments, number, seeds.getrandbits(32), progress.update)


def talk(
    engines: tuple[TorchEngine, TorchEngine],
    personas: Sequence[tuple[str, ...]],
    arguments: SelfChatArguments,
    number: int,
    seed: int,
    on_reply: Callable[[], object],
) -> Conversation:
    """One conversation: what one session says is the other one's user message.

    Args:
        number: A opens where it is odd, B where it is even, so that two models are compared fairly.
        seed: of the personas, of the greeting where no opener is given, and of every reply.
        on_reply: called after each reply.
    """
    draw = random.Random(seed)
    persona_of = dict(zip(SPEAKERS, draw.sample(list(personas), 2), strict=True))
    greeting = draw.choice(OPENERS)
    sessions = {
        speaker: ChatSession(engine, persona_of[speaker])
        for speaker, engine in zip(SPEAKERS, engines, strict=True)
    }
    speaker, listener = SPEAKERS if number % 2 else SPEAKERS[::-1]
    said = [(speaker, (arguments.opener or greeting).strip())]
    sessions[speaker].turns.append({"role": ASSISTANT, "content": said[0][1]})
    while len(said) < arguments.turns:
        speaker, listener = listener, speaker
        session = sessions[speaker]
        # One seed for a whole conversation would draw every reply by the same numbers.
        session.settings = session.engine.settings.changed(seed=draw.getrandbits(32))
        *_, reply = session.ask(said[-1][1])
        said.append((speaker, reply))
        on_reply()
    models = {speaker: session.engine.name for speaker, session in sessions.items()}
    return Conversation(number, seed, models, persona_of, tuple(said))


def _write(folder: Path, results: dict, conversations: Sequence[Conversation]) -> None:
    lines = (json.dumps(each.to_json(), ensure_ascii=False) + "\n" for each in conversations)
    (folder / "transcripts.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "transcripts.md").write_text(render_transcripts(conversations), encoding="utf-8")
    (folder / RESULTS.marker).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    arguments = parse_arguments(SelfChatArguments, description=__doc__)
    print(render_figures(self_chat(arguments)))
    print(f"saved to {arguments.output}")


if __name__ == "__main__":
    run(main)
