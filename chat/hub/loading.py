"""Loading by path or Hub id; what can go wrong becomes an error of one line.

Nothing here falls back to something else: what cannot be loaded is an error that names flag and value.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError
from chat.hub.path_or_id import check_path, explained, is_local
from chat.model_files import MODEL_FILES, STATISTICS_FILE
from chat.template import has_chat_format

if TYPE_CHECKING:
    from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

# Else transformers would ask on the terminal whether to run the code that a model brings.
NO_CODE = {"trust_remote_code": False}
# A configuration may ask `forward` for tuples, or for more than logits, which no weights depend on.
PLAIN_OUTPUTS = {"return_dict": True, "output_attentions": False}
# One of them is in every folder that has a tokenizer.
TOKENIZER_FILES = {"tokenizer.json", "tokenizer_config.json", "config.json"}


def model_folder(name: str, flag: str = "--model") -> Path:
    """The folder of a model: the path itself, or the Hub's files in the local cache."""
    if is_local(name):
        return Path(name)
    from huggingface_hub import snapshot_download

    with explained(flag, name, "model"):
        return Path(snapshot_download(name, allow_patterns=MODEL_FILES))


def load_tokenizer(name: str, flag: str = "--tokenizer") -> PreTrainedTokenizerBase:
    """
    Raises:
        UserError: there is none, or not all of it.
    """
    check_path(flag, name)
    from transformers import AutoTokenizer

    what = "tokenizer" if flag == "--tokenizer" else "model"
    with explained(flag, name, what):
        if is_local(name) and not TOKENIZER_FILES & {*os.listdir(name)}:
            raise UserError(f"{flag} {name}: holds no {what}; give the folder that has its tokenizer.json")
        tokenizer = AutoTokenizer.from_pretrained(name, **NO_CODE)
    # From a configuration without the files that it names, transformers makes an empty one.
    if len(tokenizer.get_vocab()) <= len(tokenizer.get_added_vocab()):
        raise UserError(
            f"{flag} {name}: its tokenizer has no words; put the tokenizer.json that belongs to it there"
        )
    return tokenizer


def load_chat_tokenizer(name: str, flag: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model that was trained in our chat format.

    Raises:
        UserError: there is none, or it was trained in no such format.
    """
    tokenizer = load_tokenizer(name, flag)
    if not has_chat_format(tokenizer):
        raise UserError(
            f"{flag} {name}: was not trained in this project's chat format (its tokenizer has no role "
            "tokens, or no eos_token); fine-tune it first with `accelerate launch -m training.train --base "
            f"{name}`"
        )
    return tokenizer


def check_ids(largest: int, embeddings: int, name: str, flag: str) -> None:
    """Raises UserError where a tokenizer gives ids up to `largest`, and the model has fewer embeddings."""
    if largest >= embeddings:
        raise UserError(
            f"{flag} {name}: its tokenizer has ids up to {largest}, and the model embeddings for "
            f"{embeddings} ids; give a model beside its own tokenizer"
        )


def load_config(name: str, flag: str) -> PretrainedConfig:
    """A model's configuration from a folder, a `.json` file or the Hub."""
    from transformers import AutoConfig

    with explained(flag, name, "model configuration"):
        return AutoConfig.from_pretrained(name, **NO_CODE)


def positions_of(config: PretrainedConfig, name: str, flag: str = "--model") -> int:
    """The longest sequence that a model can read, in tokens.

    Raises:
        UserError: it has no such limit, by which conversations and data are cut here.
    """
    positions = getattr(config, "max_position_embeddings", None)
    if not positions:
        raise UserError(
            f"{flag} {name}: a {config.model_type} without a number of positions (max_position_embeddings); "
            "give a model that has one, such as GPT-2"
        )
    return positions


def load_generation_config(folder: str, flag: str = "--model") -> GenerationConfig:
    """The decoding settings in a model's folder; empty where it has none."""
    from transformers import GenerationConfig

    with explained(flag, folder, "generation configuration"):
        has_own = Path(folder, "generation_config.json").is_file()
        return GenerationConfig.from_pretrained(folder) if has_own else GenerationConfig()


def load_causal_lm(name: str, flag: str = "--model") -> PreTrainedModel:
    """A causal language model with its weights, in float32, in evaluation mode.

    Raises:
        UserError: there is none, its files lack weights, which would be random ones, hold more layers than
            its configuration tells of, or weights of other shapes, or that are no numbers, as where training
            diverged; or its decoding settings cannot be read.
    """
    import torch
    from transformers import AutoModelForCausalLM

    if is_local(name):
        # In place of what it cannot read transformers takes defaults of its own.
        load_generation_config(name, flag)
    with explained(flag, name, "model"), without_bars():
        model, found = AutoModelForCausalLM.from_pretrained(
            name,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            # Else transformers points to a report that it does not show; they are refused below.
            ignore_mismatched_sizes=True,
            **PLAIN_OUTPUTS,
            **NO_CODE,
        )
    if missing := sorted(found["missing_keys"]):
        raise UserError(
            f"{flag} {name}: its files lack {len(missing)} of the weights that its configuration tells of "
            f"({missing[0]}, ...); give a folder whose files belong together"
        )
    _check_layers(found["unexpected_keys"], model, name, flag)
    if mismatched := sorted(found["mismatched_keys"]):
        of, in_files, told = mismatched[0]
        raise UserError(
            f"{flag} {name}: `{of}` is {tuple(in_files)} in its files, and {tuple(told)} by its "
            "configuration; give a folder whose files belong together"
        )
    for of, weights in model.named_parameters():
        if not weights.isfinite().all():
            raise UserError(
                f"{flag} {name}: `{of}` has weights that are NaN or infinite; give a model whose training "
                "did not diverge"
            )
    return _with_fused_gelu(model).eval()


def _check_layers(unexpected: Iterable[str], model: PreTrainedModel, name: str, flag: str) -> None:
    """Raises UserError where transformers has left out layers, which it does without an error.

    Args:
        unexpected: names of the weights that it did not take. Others than those of layers do no harm, such as
            buffers that earlier versions saved, or the head of another task.
    """
    from torch.nn import ModuleList

    modules = dict(model.named_modules())
    # Files of a model without a head, such as GPT-2's own, lack the prefix.
    modules |= {of.removeprefix(f"{model.base_model_prefix}."): each for of, each in modules.items()}
    numbered = (re.match(r"(.+?)\.(\d+)\.", key) for key in unexpected)
    places = [(modules.get(found[1]), int(found[2])) for found in numbered if found]
    counts = [(1 + index, len(layers)) for layers, index in places if isinstance(layers, ModuleList)]
    held, told = max(counts, key=lambda each: each[0] - each[1], default=(0, 0))
    if held > told:
        raise UserError(
            f"{flag} {name}: its files hold {held} layers, and its configuration tells of {told}; give a "
            "folder whose files belong together"
        )


def model_from_config(path: str, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A model of random weights, by torch's current seed, for a `.json` configuration and this vocabulary."""
    from transformers import AutoModelForCausalLM

    config = load_config(path, "--base")
    _check_keys(path, config)
    config.vocab_size = len(tokenizer)
    return _with_fused_gelu(AutoModelForCausalLM.from_config(config))


def _with_fused_gelu(model: PreTrainedModel) -> PreTrainedModel:
    """Computes GPT-2's `gelu_new` by torch's one kernel for the same formula.

    Transformers' eight write as many tensors of the MLP's width, some in float32 under autocast, of which
    training keeps several. Neither weights nor configuration change.
    """
    from torch import nn
    from transformers.activations import NewGELUActivation

    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, nn.GELU(approximate="tanh"))
    return model


def _check_keys(path: str, config: PretrainedConfig) -> None:
    """Configurations take any key without a word; a misspelt one must not train another model than meant."""
    known = {*type(config)().to_dict(), *type(config).attribute_map, "model_type", "architectures"}
    unknown = sorted(set(json.loads(Path(path).read_text(encoding="utf-8"))) - known)
    if unknown:
        raise UserError(
            f"--base {path}: unknown key `{unknown[0]}` for {config.model_type}; remove or rename it"
        )


@contextmanager
def without_bars() -> Iterator[None]:
    """Without the bars of transformers' reading and writing, which take seconds; downloads keep theirs."""
    from transformers.utils.logging import set_tqdm_hook

    before = set_tqdm_hook(lambda make, given, options: make(*given, **{**options, "disable": True}))
    try:
        yield
    finally:
        set_tqdm_hook(before)


def statistics_file(name: str, flag: str = "--data", repo_type: str = "dataset") -> Path | None:
    """The file of a dataset's statistics, or of those of the data that a model was trained on; None where it
    has none."""
    from huggingface_hub import snapshot_download

    if is_local(name):
        folder = Path(name)
    else:
        with explained(flag, name, "tokenised dataset" if repo_type == "dataset" else repo_type, repo_type):
            folder = Path(snapshot_download(name, repo_type=repo_type, allow_patterns=[STATISTICS_FILE]))
    return folder / STATISTICS_FILE if (folder / STATISTICS_FILE).is_file() else None
