"""The one definition of how replies are drawn: defaults, limits, `generation_config.json`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from chat.cli import UserError
from chat.template import control_token_ids, has_chat_format, padding_id

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

MAX_SEED = 2**32 - 1
LIMITS = {
    "temperature": (0.1, 1.5),
    "top_p": (0.05, 1.0),
    "top_k": (0, 200),
    "max_new_tokens": (1, 200),
    "min_new_tokens": (0, 200),
    "frequency_penalty": (0.0, 2.0),
    "best_of": (1, 16),
    "seed": (0, MAX_SEED),
}
# What `generate` has and not every engine here, with the values that change nothing.
NOT_TAKEN = {
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "num_beams": 1,
    "min_p": 0.0,
    "typical_p": 1.0,
}
REPETITION = {"repetition_penalty", "no_repeat_ngram_size"}


@dataclass(frozen=True)
class DecodingSettings:
    """How a reply is drawn from the model.

    Attributes:
        do_sample: sample; else take the most probable token each time, whatever the next three say.
        temperature: divides the logits; lower is more predictable.
        top_p: nucleus sampling (Holtzman et al., 2020): the smallest set of tokens with this probability.
        top_k: only the k most probable tokens; 0 means all.
        max_new_tokens: longest reply, in tokens.
        min_new_tokens: tokens that a reply has at least, its end of turn not counted.
        frequency_penalty: taken from a token's logit each time that the reply already has it. What persona
            and user say costs nothing.
        best_of: replies that are drawn, of which the best is given (see `chat.best_of`); one is streamed.
        seed: of this reply's randomness; None draws a fresh one.
    """

    do_sample: bool = True
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 50
    max_new_tokens: int = 60
    min_new_tokens: int = 0
    frequency_penalty: float = 0.0
    best_of: int = 1
    seed: int | None = None

    @classmethod
    def from_generation_config(cls, generation_config: GenerationConfig) -> DecodingSettings:
        """The model's own settings, with our default wherever its `generation_config.json` is silent."""
        told = {name: getattr(generation_config, name, None) for name in NOT_TAKEN}
        if left_out := [name for name, value in told.items() if value not in (None, NOT_TAKEN[name])]:
            instead = "; against repetition there is frequency_penalty" if REPETITION & {*left_out} else ""
            logger.warning("generation_config.json: without effect here: %s%s", ", ".join(left_out), instead)
        names = (field.name for field in fields(cls) if field.name != "seed")
        own = {name: value for name in names if (value := getattr(generation_config, name, None)) is not None}
        return cls(**own).clamped()

    def changed(self, **settings: Any) -> DecodingSettings:
        """These settings with those given; None leaves one as it is. The result is within the limits."""
        return replace(
            self, **{name: value for name, value in settings.items() if value is not None}
        ).clamped()

    def clamped(self) -> DecodingSettings:
        """The nearest settings within the limits, whatever a client sent.

        What is no number takes the default.
        """

        seed = None if self.seed is None else int(_within(self.seed, *LIMITS["seed"], 0))
        taken: dict[str, Any] = {}
        for name in LIMITS.keys() - {"seed"}:
            default = getattr(DecodingSettings, name)
            # By the default's type: whole numbers stay whole.
            taken[name] = type(default)(_within(getattr(self, name), *LIMITS[name], default))
        taken["min_new_tokens"] = min(taken["min_new_tokens"], taken["max_new_tokens"])
        return replace(self, do_sample=bool(self.do_sample), seed=seed, **taken)

    def to_generation_config(self, tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
        """For `generate` and `generation_config.json`: ends a turn, and keeps role tokens out of replies.

        With the tokenizer of a base that has no role tokens there is nothing to keep out.
        """
        from transformers import GenerationConfig

        # Greedy search takes neutral values: `generate` would fill gaps from the model's sampling settings.
        drawn = self if self.do_sample else replace(self, temperature=1.0, top_p=1.0)
        # `generate` lacks these; where they are set, `generation_config.json` keeps them for the chat.
        names = ("best_of", "frequency_penalty")
        own = {name: value for name in names if (value := getattr(self, name)) != getattr(type(self), name)}
        return GenerationConfig(
            do_sample=self.do_sample,
            temperature=drawn.temperature,
            top_p=drawn.top_p,
            top_k=drawn.top_k,
            max_new_tokens=self.max_new_tokens,
            min_new_tokens=self.min_new_tokens or None,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=padding_id(tokenizer),
            suppress_tokens=control_token_ids(tokenizer) if has_chat_format(tokenizer) else None,
            **own,
        )

    def logits_processors(self, prompt_tokens: int) -> list[Callable]:
        """What `generate` needs beside its configuration."""
        return [_frequency_penalty(self.frequency_penalty, prompt_tokens)] if self.frequency_penalty else []


def span(name: str) -> str:
    """The limits of a setting, for help and errors."""
    return " to ".join(map(str, LIMITS[name]))


def check_settings(given: Mapping[str, float | None]) -> None:
    """Raises UserError unless the settings of flags, where they are given, are within the limits."""
    for name, value in given.items():
        low, high = LIMITS[name]
        if value is not None and not low <= value <= high:
            raise UserError(f"--{name.replace('_', '-')} {value}: give {span(name)}")


def check_seed(seed: int) -> None:
    """Raises UserError unless all random streams can begin with what `--seed` gave."""
    if not 0 <= seed <= MAX_SEED:
        raise UserError(f"--seed {seed}: give {span('seed')}")


def _frequency_penalty(
    penalty: float, prompt_tokens: int
) -> Callable[[torch.LongTensor, torch.FloatTensor], torch.FloatTensor]:
    """A logits processor over the tokens after the prompt, as OpenAI's and OpenVINO's APIs define it."""

    def processor(input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        drawn = input_ids[:, prompt_tokens:]
        counts = scores.new_zeros(scores.shape).scatter_add_(1, drawn, scores.new_ones(drawn.shape))
        return scores - penalty * counts

    return processor


def _within(value: Any, low: float, high: float, default: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return default
    return min(max(number, low), high) if number == number else default
