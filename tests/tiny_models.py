"""Random models: GPT-2s as training leaves them, others, and such as heed what they are asked."""

import json
from pathlib import Path

TINY = {"model_type": "gpt2", "n_layer": 2, "n_embd": 32, "n_head": 2, "n_positions": 256}


def saved(model, tokenizer, folder: Path) -> Path:
    """The folder, with both in it."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def saved_gpt2(tokenizer, folder: Path, seed: int = 0, decoding: dict | None = None, **sizes) -> Path:
    """The folder of a GPT-2, tiny but for `sizes`, with all that training saves beside it."""
    import torch

    from training.model import build_model

    folder.mkdir(exist_ok=True)
    config = folder / "config.json"
    config.write_text(json.dumps(TINY | sizes))
    torch.manual_seed(seed)
    model = build_model(str(config), tokenizer, longest_sequence=1, decoding=decoding)
    return saved(model, tokenizer, folder)


def tiny_model(kind: str, vocab_size: int, **changes):
    """Two layers of 32, in evaluation mode; always the same."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    special = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0)
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "vocab_size": vocab_size}
    if kind == "gpt_neo":
        sizes = {"num_layers": 2, "hidden_size": 32, "num_heads": 2, "vocab_size": vocab_size}
        sizes["attention_types"] = [[["global", "local"], 1]]
    if kind in ("llama", "mistral", "lfm2"):
        sizes |= {"intermediate_size": 64, "num_key_value_heads": 2}
    if kind == "opt":
        sizes |= {"ffn_dim": 64, "word_embed_proj_dim": 32}
    if kind == "xglm":
        sizes |= {"ffn_dim": 64}
    torch.manual_seed(0)
    given = {"max_position_embeddings": 512, **special, **sizes, **changes}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **given, use_cache=False)).eval()


def heeding_model(folder):
    """The model in a folder, its random weights scaled up, so that replies depend on what was said before."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return model
