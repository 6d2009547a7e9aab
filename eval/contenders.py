"""The models that are compared, the format in which each sees dialogues, and how long these may be."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from chat.decoding import DecodingSettings
from chat.dialogue import ASSISTANT, SYSTEM, USER
from chat.hub.loading import (
    check_ids,
    load_causal_lm,
    load_chat_tokenizer,
    load_tokenizer,
    model_from_config,
    positions_of,
)
from chat.template import extends_vocabulary, fit_positions, has_chat_format
from eval.formats import Format, PlainFormat, TemplateFormat
from eval.processes import this_process

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Contender:
    """A model, on its device, in evaluation mode.

    Attributes:
        row: the name of its figures: `model`, `base`, `base_in_template`.
        generates: whether it also ranks and writes replies.
    """

    row: str
    name: str
    model: PreTrainedModel
    format: Format
    generates: bool = True

    @property
    def positions(self) -> int:
        return self.model.config.max_position_embeddings

    def describe(self) -> dict:
        return {
            "name": self.name,
            "revision": getattr(self.model.config, "_commit_hash", None),
            "weights_sha256": weights_sha256(self.model),
            "parameters": self.model.num_parameters(),
            "tokenizer_sha256": tokenizer_sha256(self.format.tokenizer),
            "positions": self.positions,
            "format": self.format.name,
            # Random weights are given the model's own tokenizer, and chat no better for it.
            "chats": has_chat_format(self.format.tokenizer) and not self.name.endswith(".json"),
        }


def weights_sha256(model: PreTrainedModel) -> str:
    """A checksum of the names and values of all weights, which ties results to their model."""
    digest = hashlib.sha256()
    for name, weights in model.state_dict().items():
        digest.update(name.encode())
        digest.update(weights.float().cpu().contiguous().numpy())
    return digest.hexdigest()


def tokenizer_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """A checksum of the files that it would be saved as."""
    digest = hashlib.sha256()
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                digest.update(path.name.encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def load_contenders(model: str, base: str, seed: int) -> tuple[list[Contender], DecodingSettings]:
    """The model in its template, the base in plain text, and where it can be also in the model's template.

    The decoding settings are the model's own and serve for both.

    Raises:
        UserError: one cannot be loaded, has a tokenizer of more ids than embeddings, or the model was not
            trained in our format.
    """
    from transformers import GenerationConfig, set_seed

    tokenizer = load_chat_tokenizer(model, "--model")
    trained = load_causal_lm(model, "--model")
    set_seed(seed)
    if base.endswith(".json"):
        base_tokenizer, base_model = tokenizer, model_from_config(base, tokenizer).eval()
    else:
        base_tokenizer, base_model = load_tokenizer(base, "--base"), load_causal_lm(base, "--base")
    decoding = DecodingSettings.from_generation_config(trained.generation_config)
    # What one's own configuration says of repetition would else hold for its replies, and not the other's.
    trained.generation_config = base_model.generation_config = GenerationConfig()
    template, plain = TemplateFormat(tokenizer), PlainFormat(base_tokenizer)
    for flag, name, loaded, format_ in (
        ("--model", model, trained, template),
        ("--base", base, base_model, plain),
    ):
        positions_of(loaded.config, name, flag)
        _check_vocabulary(loaded, format_, name, flag)
    device = this_process().device
    contenders = [
        Contender("model", model, trained.to(device), template),
        Contender("base", base, base_model.to(device), plain),
    ]
    if extends_vocabulary(tokenizer, base_tokenizer):
        in_template = _with_vocabulary(base_model, len(tokenizer)).to(device)
        contenders.append(Contender("base_in_template", base, in_template, template, generates=False))
    return contenders, decoding


def _check_vocabulary(model: PreTrainedModel, format_: Format, name: str, flag: str) -> None:
    """Added tokens that the format does not use do no harm: no text has them.

    Raises:
        UserError: texts may have ids for which the model has no embedding.
    """
    tokenizer, roles = format_.tokenizer, (SYSTEM, USER, ASSISTANT)
    vocabulary, added = tokenizer.get_vocab(), tokenizer.get_added_vocab()
    framing = [id_ for role in roles for ids in format_.frame(role) for id_ in ids]
    of_texts = [id_ for token, id_ in vocabulary.items() if token not in added]
    largest, embeddings = max(*framing, *format_.start_ids, *of_texts), model.get_input_embeddings()
    check_ids(largest, embeddings.num_embeddings, name, flag)


def _with_vocabulary(model: PreTrainedModel, size: int) -> PreTrainedModel:
    """The model, or where it has fewer embeddings a copy with new ones, as training starts from."""
    if model.get_input_embeddings().num_embeddings >= size:
        return model
    grown = copy.deepcopy(model)
    grown.resize_token_embeddings(size)
    return grown.eval()


def same_reply_ids(contenders: list[Contender]) -> bool:
    """Whether the replies have the same ids for model and base, so that their perplexities compare."""
    return any(contender.row == "base_in_template" for contender in contenders)


@dataclass(frozen=True)
class Lengths:
    """How many tokens every contender is given: one measure for all, so that the comparison is fair.

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
