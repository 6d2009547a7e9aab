"""The one definition of how replies are drawn: defaults, limits, `generation_config.json`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chat.template import control_token_ids, has_chat_format

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase

TEMPERATURE_RANGE = (0.1, 1.5)
TOP_P_RANGE = (0.05, 1.0)
TOP_K_RANGE = (0, 200)
MAX_NEW_TOKENS_RANGE = (1, 200)
BEST_OF_RANGE = (1, 16)


@dataclass(frozen=True)
class DecodingSettings:
    """How a reply is drawn from the model.

    Attributes:
        do_sample: sample; else take the most probable token each time, whatever the next three say.
        temperature: divides the logits; lower is more predictable.
        top_p: nucleus sampling (Holtzman et al., 2020): the smallest set of tokens with this probability.
        top_k: only the k most probable tokens; 0 means all.
        max_new_tokens: longest reply, in tokens.
        best_of: replies that are drawn, of which the best is given (see `chat.best_of`); one is streamed.
        seed: of this reply's randomness; None draws a fresh one.
    """

    do_sample: bool = True
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 50
    max_new_tokens: int = 60
    best_of: int = 1
    seed: int | None = None

    @classmethod
    def from_generation_config(cls, generation_config: GenerationConfig) -> DecodingSettings:
        """The model's own settings, with our default wherever its `generation_config.json` is silent."""
        own = {
            name: value
            for name in ("do_sample", "temperature", "top_p", "top_k", "max_new_tokens", "best_of")
            if (value := getattr(generation_config, name, None)) is not None
        }
        return cls(**own).clamped()

    def changed(self, **settings: Any) -> DecodingSettings:
        """These settings with those given; None leaves one as it is. The result is within the limits."""
        return replace(
            self, **{name: value for name, value in settings.items() if value is not None}
        ).clamped()

    def clamped(self) -> DecodingSettings:
        """The nearest settings within the limits, whatever a client sent."""
        return replace(
            self,
            do_sample=bool(self.do_sample),
            temperature=_within(float(self.temperature), *TEMPERATURE_RANGE, DecodingSettings.temperature),
            top_p=_within(float(self.top_p), *TOP_P_RANGE, DecodingSettings.top_p),
            top_k=int(_within(self.top_k, *TOP_K_RANGE, DecodingSettings.top_k)),
            best_of=int(_within(self.best_of, *BEST_OF_RANGE, DecodingSettings.best_of)),
            max_new_tokens=int(
                _within(self.max_new_tokens, *MAX_NEW_TOKENS_RANGE, DecodingSettings.max_new_tokens)
            ),
        )

    def to_generation_config(self, tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
        """For `generate` and `generation_config.json`: ends a turn, and keeps role tokens out of replies.

        With the tokenizer of a base that has no role tokens there is nothing to keep out.
        """
        from transformers import GenerationConfig

        # Greedy search takes neutral values: `generate` would fill gaps from the model's sampling settings.
        drawn = self if self.do_sample else replace(self, temperature=1.0, top_p=1.0)
        return GenerationConfig(
            do_sample=self.do_sample,
            temperature=drawn.temperature,
            top_p=drawn.top_p,
            top_k=drawn.top_k,
            max_new_tokens=self.max_new_tokens,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
            suppress_tokens=control_token_ids(tokenizer) if has_chat_format(tokenizer) else None,
            **({"best_of": self.best_of} if self.best_of > 1 else {}),
        )


def _within(value: float, low: float, high: float, default: float) -> float:
    return min(max(value, low), high) if value == value else default
