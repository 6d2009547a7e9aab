"""The model that is trained: a base from the Hub or a folder, or random weights from a config file."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

from chat.cli import UserError, first_line
from chat.decoding import DecodingSettings
from chat.hub.loading import load_causal_lm, load_tokenizer, model_from_config, positions_of
from chat.template import extends_vocabulary, has_chat_format

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def build_model(
    base: str,
    tokenizer: PreTrainedTokenizerBase,
    longest_sequence: int,
    attn_implementation: str | None = None,
    decoding: Mapping[str, float | None] | None = None,
) -> PreTrainedModel:
    """A causal language model whose embeddings, special ids and generation defaults fit the tokenizer.

    Args:
        base: Hub id or folder of a model, or a `.json` configuration.
        tokenizer: the dataset's, with our chat format.
        longest_sequence: of the dataset, in tokens.
        attn_implementation: attention kernels, by transformers' names (None: its default).
        decoding: of the model's decoding defaults those that are given; the others are those of a base that
            is a chat model, else ours.

    Raises:
        UserError: the base cannot be loaded, has another tokenizer than the dataset, too few positions, sees
            what comes after, or could not be loaded again.
    """
    from_config = base.endswith(".json")
    own_decoding = DecodingSettings()
    if from_config:
        model = model_from_config(base, tokenizer)
    else:
        own_tokenizer = load_tokenizer(base, "--base")
        model = _from_weights(base, own_tokenizer, tokenizer)
        if has_chat_format(own_tokenizer):
            own_decoding = DecodingSettings.from_generation_config(model.generation_config)
    if attn_implementation:
        _set_attention(model, attn_implementation)
    positions = positions_of(model.config, base, "--base")
    if longest_sequence > positions:
        raise UserError(
            f"--base {base}: has {positions} positions, but --data has a sequence of {longest_sequence}; "
            f"prepare it with --max-length {positions}"
        )
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.config, name, getattr(tokenizer, name))
    _check_loadable(model, base)
    model.loss_type = "ForCausalLM"
    given = {name: value for name, value in (decoding or {}).items() if value is not None}
    if given:
        # Whoever says how replies are drawn has them drawn, also where the base takes the most probable.
        own_decoding = own_decoding.changed(**given, do_sample=True)
    model.generation_config = own_decoding.to_generation_config(tokenizer)
    return model


def _from_weights(
    base: str, own_tokenizer: PreTrainedTokenizerBase, tokenizer: PreTrainedTokenizerBase
) -> PreTrainedModel:
    if not extends_vocabulary(tokenizer, own_tokenizer):
        raise UserError(
            f"--base {base}: its tokenizer is not the one that the data was tokenised with; prepare the data "
            f"with --tokenizer {base}"
        )
    model = load_causal_lm(base, "--base")
    _check_causal(model, base)
    if model.get_input_embeddings().num_embeddings < len(tokenizer):
        model.resize_token_embeddings(len(tokenizer))
    return model


def _check_causal(model: PreTrainedModel, base: str) -> None:
    """
    Raises:
        UserError: it sees what comes after, and would learn to copy it; `transformers` takes encoders, such
            as BERT, for causal language models, too.
    """
    import torch

    from chat.best_of import log_probs_of
    from chat.layouts import reads_as_alone

    vocab_size = model.get_input_embeddings().num_embeddings
    begun = [id_ % vocab_size for id_ in range(5, 21)]
    row = torch.tensor([[*begun, *(id_ % vocab_size for id_ in range(21, 29))]])

    def with_more_after() -> list[torch.Tensor]:
        ids = row.to(model.device)
        return [log_probs_of(ids, model(input_ids=ids).logits)[0, : len(begun) - 1]]

    if not reads_as_alone(model, with_more_after, [begun]):
        raise UserError(
            f"--base {base}: a {model.config.model_type} that sees the tokens which come after; give a model "
            "that reads from left to right, such as GPT-2"
        )


def _check_loadable(model: PreTrainedModel, base: str) -> None:
    """
    Raises:
        UserError: its configuration makes no model any more; XGLM and RoBERTa take the id of padding for a
            place in their table of positions, too.
    """
    import torch

    try:
        with torch.device("meta"):
            type(model)(copy.deepcopy(model.config))
    except Exception as error:
        raise UserError(
            f"--base {base}: a {model.config.model_type} with the ids of the data's tokenizer could not be "
            f"loaded again ({first_line(error)}); give a model of another kind, such as GPT-2"
        ) from error


def _set_attention(model: PreTrainedModel, attn_implementation: str) -> None:
    try:
        model.set_attn_implementation(attn_implementation)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"--attn-implementation {attn_implementation}: not usable here ({first_line(error)}); "
            "install it, or give sdpa"
        ) from None
