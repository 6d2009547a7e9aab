"""The corpora by name, and what happens to all of them: filtering, deduplication, the split."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tqdm.auto import tqdm

from chat.cli import UserError
from chat.dialogue import ASSISTANT, SPLITS, Dialogue
from data_scripts import cornell, daily_dialog, jsonl, multi_session_chat, persona_questions, personachat
from data_scripts.arguments import PrepareArguments
from data_scripts.background import collector_paused, in_process

Loader = Callable[[str | None, bool, Counter], Iterator[Dialogue]]
LOADERS: dict[str, Loader] = {
    module.NAME: module.load
    for module in (cornell, personachat, daily_dialog, multi_session_chat, persona_questions, jsonl)
}


@dataclass
class Corpus:
    """One corpus's dialogues by split, and the counts of what was left out, by reason.

    Attributes:
        unsplit: of neither split yet.
        swapped_copies: how many of the training dialogues are copies of others with other details.
    """

    name: str
    train: list[Dialogue] = field(default_factory=list)
    val: list[Dialogue] = field(default_factory=list)
    unsplit: list[Dialogue] = field(default_factory=list)
    dropped: Counter = field(default_factory=Counter)
    swapped_copies: int = 0


@contextmanager
def loading(arguments: PrepareArguments) -> Iterator[Callable[[], list[Corpus]]]:
    """Begins to read the corpora; yields a function that waits for them, splits and deduplicates.

    As many as there are processes are read at once: the last ones by the yielded function, all before them in
    processes of their own from now on. In plain text two sides of one conversation are duplicates.

    Raises:
        UserError: an unknown name; and when waiting, a corpus that cannot be read or has no usable dialogue,
            or a split that none of them has.
    """
    tasks = [(*_name_and_path(each), arguments.keep_raw_text) for each in arguments.corpora]
    with ExitStack() as processes:
        early = tasks[:-1][: arguments.num_proc - 1]
        begun = [processes.enter_context(in_process(_load, *task)) for task in early]

        def wait() -> list[Corpus]:
            last = [_load(*task) for task in tasks[len(begun) :]]
            corpora = [*(result() for result in begun), *last]
            _divide(corpora, arguments.val_fraction, arguments.seed)
            _drop_duplicates(corpora, by_text_alone=arguments.plain_text)
            return _checked(corpora, arguments.corpora)

        yield wait


def _name_and_path(specification: str) -> tuple[str, str | None]:
    name, _, path = specification.partition("=")
    if name not in LOADERS:
        raise UserError(
            f"--corpora {specification}: no such corpus; give NAME or NAME=PATH of {', '.join(LOADERS)}, "
            f"such as {jsonl.NAME}=mine.jsonl"
        )
    return name, path or None


def _checked(corpora: list[Corpus], specifications: list[str]) -> list[Corpus]:
    for corpus, specification in zip(corpora, specifications, strict=True):
        if not (corpus.train or corpus.val):
            raise UserError(
                f"--corpora {specification}: no usable dialogue ({_reasons(corpus)}); give another corpus"
            )
    if not any(corpus.train for corpus in corpora):
        raise UserError(
            "--val-fraction: no dialogue is left for training; lower it, or give dialogues of more groups, "
            "or some that are not marked `val`"
        )
    if not any(corpus.val for corpus in corpora):
        raise UserError(
            "--val-fraction: no dialogue is left for validation; give a fraction above 0, and dialogues of "
            "at least two groups, or some that are marked `val`"
        )
    return corpora


@collector_paused()
def _load(name: str, path: str | None, keep_raw_text: bool) -> Corpus:
    corpus = Corpus(name)
    read = _readable(LOADERS[name](path, keep_raw_text, corpus.dropped), name, path)
    for dialogue in tqdm(read, desc=f"loading {name}", unit=" dialogues"):
        if len(dialogue.turns) < 2:
            corpus.dropped["dialogues of less than two turns"] += 1
        elif not any(turn.role == ASSISTANT for turn in dialogue.turns[1:]) and dialogue.persona:
            corpus.dropped["dialogues without a reply of the assistant"] += 1
        elif dialogue.split:
            getattr(corpus, dialogue.split).append(dialogue)
        else:
            corpus.unsplit.append(dialogue)
    return corpus


def _readable(dialogues: Iterator[Dialogue], name: str, path: str | None) -> Iterator[Dialogue]:
    """
    Raises:
        UserError: a row has the right columns, but they do not hold a dialogue.
    """
    read = 0
    try:
        for dialogue in dialogues:
            yield dialogue
            read += 1
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"--corpora {name}{f'={path}' if path else ''}: the row after dialogue {read} is none "
            f"({error!r}); mend it or take it out"
        ) from error


def _divide(corpora: list[Corpus], val_fraction: float, seed: int) -> None:
    """Divides what has no split of its own by groups, which those of one name have in common."""
    for name in dict.fromkeys(corpus.name for corpus in corpora):
        named = [corpus for corpus in corpora if corpus.name == name]
        unsplit = [(of, dialogue) for of in named for dialogue in of.unsplit]
        groups = [dialogue.group or f"dialogue {index}" for index, (_, dialogue) in enumerate(unsplit)]
        # A group of which a dialogue tells its split is there whole.
        told = {
            split: {dialogue.group for of in named for dialogue in getattr(of, split)} for split in SPLITS
        }
        held_out = (
            _held_out(sorted({*groups} - told["train"] - told["val"]), val_fraction, seed) | told["val"]
        )
        for group, (corpus, dialogue) in zip(groups, unsplit, strict=True):
            (corpus.val if group in held_out else corpus.train).append(dialogue)
    for corpus in corpora:
        corpus.unsplit = []


def _held_out(groups: list[str], val_fraction: float, seed: int) -> set[str]:
    if len(groups) < 2 or not val_fraction:
        return set()
    return set(random.Random(seed).sample(groups, max(1, round(val_fraction * len(groups)))))


def _drop_duplicates(corpora: list[Corpus], by_text_alone: bool) -> None:
    """Keeps one of each dialogue over all corpora; validation first, so that it is never trained on.

    Within a split dialogues are the same where the texts of all turns are, but for case. A training dialogue
    is in validation where all turns have the same letters and digits in the same order: case, punctuation and
    spaces do not count, as copies of one dialogue differ in them. A copy that was reworded, or that has a
    turn more or less, is not recognised.

    The two rows that PersonaChat makes of one conversation differ in who is the assistant and in the persona.
    Both stay within a split, but for `by_text_alone`; across the splits the texts alone decide.
    """
    validation_texts = set()
    seen = set()
    for split in ("val", "train"):
        for corpus in corpora:
            kept = []
            for dialogue in getattr(corpus, split):
                texts = tuple(turn.text.lower() for turn in dialogue.turns)
                bare_texts = tuple(map(_letters_and_digits, texts))
                key = (texts,) if by_text_alone else (texts, *_part_of(dialogue))
                if key in seen:
                    corpus.dropped["exact duplicates"] += 1
                elif split == "train" and bare_texts in validation_texts:
                    corpus.dropped["training dialogues that are in validation"] += 1
                else:
                    seen.add(key)
                    kept.append(dialogue)
                    if split == "val":
                        validation_texts.add(bare_texts)
            setattr(corpus, split, kept)


def _letters_and_digits(text: str) -> str:
    """What `text` has of them; one without any, such as `?!`, stays as it is."""
    return "".join(filter(str.isalnum, text)) or text


def _part_of(dialogue: Dialogue) -> tuple:
    """Which part the assistant has in the conversation, where it has one."""
    return (dialogue.persona, dialogue.turns[0].role) if dialogue.persona else ()


def _reasons(corpus: Corpus) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in corpus.dropped.items()) or "it is empty"
