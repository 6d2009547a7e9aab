"""Random models: of other kinds than GPT-2, and such as heed what they are asked."""


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
