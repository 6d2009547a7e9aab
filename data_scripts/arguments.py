"""What `data_scripts.prepare` is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from chat.cli import UserError, numbers_by_name

TIMES_EXAMPLE = "cornell=0.5"
COPIES_EXAMPLE = "personachat=2"


@dataclass(frozen=True)
class PrepareArguments:
    corpora: list[str] = field(
        default_factory=lambda: ["cornell", "personachat"],
        metadata={
            "help": "Corpora as NAME=PATH, or NAME: cornell, personachat (without a path downloaded), "
            "persona_questions (made here), daily_dialog=PATH, multi_session_chat=PATH, jsonl=PATH."
        },
    )
    output: str = field(
        default="tokenized_combined_dialog_data",
        metadata={"help": "Folder for the tokenised dataset; an earlier dataset there is replaced."},
    )
    tokenizer: str = field(
        default="openai-community/gpt2", metadata={"help": "Hub id or path of the base model's tokenizer."}
    )
    train_tokenizer_vocab_size: int = field(
        default=0,
        metadata={
            "help": "Instead of --tokenizer, learn one of this many tokens from the training text (0: off)."
        },
    )
    max_length: int = field(default=256, metadata={"help": "Longest training sequence, in tokens."})
    history_turns: int | None = field(
        default=None,
        metadata={
            "help": "One sequence per reply with this many turns before it, instead of one per dialogue."
        },
    )
    plain_text: bool = field(
        default=False,
        metadata={"help": "Plain text without roles and personas, to pre-train a base model on."},
    )
    both_sides: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Corpora of whose training dialogues with a persona the user's side is learnt, too, as "
            "of somebody without one."
        },
    )
    swapped_copies: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Copies of a corpus's training dialogues with a persona, its details swapped for others "
            f"in each: {COPIES_EXAMPLE}."
        },
    )
    keep_raw_text: bool = field(
        default=False,
        metadata={
            "help": "Keep the published text, to reproduce published figures; that of jsonl is kept anyway."
        },
    )
    val_fraction: float = field(
        default=0.05,
        metadata={
            "help": "Share of the films (Cornell) or dialogues held out, where a corpus has no own split."
        },
    )
    times: list[str] = field(
        default_factory=list,
        metadata={"help": f"How often a corpus's training sequences come in an epoch: {TIMES_EXAMPLE}."},
    )
    seed: int = field(
        default=0,
        metadata={
            "help": "Seed of the choice of what is held out, of the swaps and of the shares of --times."
        },
    )
    num_proc: int = field(
        default=2,
        metadata={"help": "Processes that read corpora and tokenise, where it makes either faster."},
    )
    refresh: bool = field(
        default=False,
        metadata={
            "help": "Prepare even where nothing has changed; what is downloaded is known by its name alone."
        },
    )
    push_to_hub: str | None = field(
        default=None,
        metadata={"help": "Dataset on the Hub, USER/NAME, to push it to; made if it is not there."},
    )
    hub_public: bool = field(
        default=False,
        metadata={
            "help": "Let all see it there; private otherwise, since film dialogue has no clear licence."
        },
    )

    def __post_init__(self):
        for flag, value, low in (
            ("--max-length", self.max_length, 16),
            ("--num-proc", self.num_proc, 1),
            ("--history-turns", 1 if self.history_turns is None else self.history_turns, 1),
        ):
            if value < low:
                raise UserError(f"{flag} {value}: too small; give at least {low}")
        self._check_plain_text()
        self._check_named(self.both_sides, "--both-sides")
        self._check_named(self.copies_by_corpus(), "--swapped-copies")
        self._check_named(self.times_by_corpus(), "--times")
        if not 0 <= self.val_fraction < 1:
            raise UserError(
                f"--val-fraction {self.val_fraction}: give a share from 0 up to, but not including, 1"
            )
        if self.train_tokenizer_vocab_size and self.train_tokenizer_vocab_size < 300:
            raise UserError(
                f"--train-tokenizer-vocab-size {self.train_tokenizer_vocab_size}: give at least 300, or 0"
            )
        if self.hub_public and not self.push_to_hub:
            raise UserError("--hub-public: says who sees what is pushed; give --push-to-hub USER/NAME, too")

    def _check_plain_text(self) -> None:
        for flag, given, lacks in (
            ("--history-turns", self.history_turns is not None, "replies"),
            ("--both-sides", self.both_sides, "sides"),
            ("--swapped-copies", self.swapped_copies, "personas"),
        ):
            if self.plain_text and given:
                raise UserError(f"{flag}: plain text has no {lacks}; leave it or --plain-text out")

    def _check_named(self, names: Iterable[str], flag: str) -> None:
        corpora = [specification.partition("=")[0] for specification in self.corpora]
        for name in names:
            if name not in corpora:
                raise UserError(f"{flag} {name}: no such corpus in --corpora; they are {', '.join(corpora)}")

    def times_by_corpus(self) -> dict[str, float]:
        return numbers_by_name(self.times, "--times", TIMES_EXAMPLE)

    def copies_by_corpus(self) -> dict[str, float]:
        return numbers_by_name(self.swapped_copies, "--swapped-copies", COPIES_EXAMPLE)

    def deciding(self) -> dict:
        """The options that decide what is in the dataset."""
        elsewhere = ("output", "num_proc", "refresh", "push_to_hub", "hub_public")
        return {name: value for name, value in asdict(self).items() if name not in elsewhere}
