"""How many tokens every contender is given: one measure for all, so that the comparison is fair."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chat.decoding import DecodingSettings
from chat.template import fit_positions
from eval.contenders import Contender


@dataclass(frozen=True)
class Lengths:
    """All in tokens.

    Attributes:
        positions: the fewest that a contender has; the longest sequence that is scored.
        max_prompt_tokens: before a generated reply.
        max_new_tokens: of a generated reply.
        max_ranked_prompt_tokens: before the candidates of a ranking, which no decoding setting changes.
        max_candidate_tokens: of each candidate.
    """

    positions: int
    max_prompt_tokens: int
    max_new_tokens: int
    max_ranked_prompt_tokens: int
    max_candidate_tokens: int

    @classmethod
    def of(cls, contenders: Iterable[Contender], decoding: DecodingSettings) -> Lengths:
        positions = min(each.positions for each in contenders)
        generated = fit_positions(positions, decoding.max_new_tokens)
        ranked_prompt, _ = fit_positions(positions, DecodingSettings.max_new_tokens)
        return cls(positions, *generated, ranked_prompt, positions - ranked_prompt)
