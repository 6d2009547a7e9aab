"""GPT-2 as a graph with its key/value cache as inputs and outputs, the form that exported models have.

Tensor names are those that ONNX Runtime, transformers.js and OpenVINO GenAI expect of a decoder:
`input_ids`, `attention_mask`, `position_ids`, `past_key_values.N.key` and `.value` -> `logits`,
`present.N.key` and `.value`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import embedding, linear, scaled_dot_product_attention
from transformers import PretrainedConfig, PreTrainedModel

from chat.cli import UserError

ARCHITECTURE = "gpt2"
# For a prompt and a reply of a few tokens each, by which an export is compared.
MIN_POSITIONS = 32


def check_exportable(config: PretrainedConfig, flag: str, name: str) -> None:
    """Raises UserError unless the model is a GPT-2 of any size."""
    usual = {
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
        "scale_attn_weights": True,
    }
    odd = [key for key, value in usual.items() if getattr(config, key, value) != value]
    if config.model_type != ARCHITECTURE or odd:
        what = f"{config.model_type} with {odd[0]} {getattr(config, odd[0])}" if odd else config.model_type
        raise UserError(
            f"{flag} {name}: exporting {what} is not supported, only {ARCHITECTURE}; use the torch engine"
        )
    if config.max_position_embeddings < MIN_POSITIONS:
        raise UserError(
            f"{flag} {name}: exporting {config.max_position_embeddings} positions is not supported, only "
            f"{MIN_POSITIONS} or more; use the torch engine"
        )


@dataclass(frozen=True)
class Shape:
    """Sizes of the key/value cache: each of its tensors is (batch, heads, tokens, head width)."""

    layers: int
    heads: int
    head_width: int

    @classmethod
    def of(cls, config: PretrainedConfig) -> Shape:
        return cls(config.n_layer, config.n_head, config.n_embd // config.n_head)

    def past(self, batch: int, tokens: int) -> list[torch.Tensor]:
        """An empty or zero cache: keys and values of each layer in turn."""
        size = (batch, self.heads, tokens, self.head_width)
        return [torch.zeros(size) for _ in range(2 * self.layers)]

    def example(self, *further: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Inputs to trace by: four tokens of two rows, after three in the cache, which `further` precede."""
        ids, mask = torch.ones(2, 4, dtype=torch.long), torch.ones(2, 7, dtype=torch.long)
        return ids, mask, torch.arange(3, 7).repeat(2, 1), *further, *self.past(batch=2, tokens=3)

    def names(self, prefix: str) -> list[str]:
        return [f"{prefix}.{layer}.{part}" for layer in range(self.layers) for part in ("key", "value")]


class GraphOfGPT2(torch.nn.Module):
    """GPT-2's own layers around an attention whose cache is explicit.

    Args:
        suppressed: tokens that are never to be drawn: the graph itself makes their logits hopeless. The
            others are then shifted, which no distribution feels. They are centred before they are rounded:
            GPT-2's lie some 30 to 100 below 0, where bfloat16 has steps of up to a half. And they start at 0
            in the end: OpenVINO GenAI's frequency penalty would add to negative ones.
        reorders: takes `beam_idx` (batch,) before the cache, by which the cache's rows are picked.
    """

    def __init__(self, model: PreTrainedModel, suppressed: list[int] | None = None, reorders: bool = False):
        super().__init__()
        self.model, self.reorders = model, reorders
        embeddings, head = model.transformer.wte.weight, model.lm_head.weight
        centre = head.mean(0) if suppressed else torch.zeros_like(head[0])
        self.is_tied = embeddings is head
        self.register_buffer("head", head - centre)
        self.register_buffer("positions", model.transformer.wpe.weight + centre * self.is_tied)
        bias = torch.zeros(model.config.vocab_size)
        bias[suppressed or []] = torch.finfo(torch.float32).min / 2
        self.register_buffer("bias", bias)
        self.suppresses = bool(suppressed)
        # The ONNX exporter puts back the mode that it finds: that of training would stay with the model.
        self.eval()

    def forward(self, input_ids, attention_mask, position_ids, *rest):
        """Logits (batch, tokens, vocabulary) and the grown cache.

        Args:
            input_ids, position_ids: (batch, tokens).
            attention_mask: (batch, cached tokens + tokens), 0 on padding.
        """
        past = rest[1:] if self.reorders else rest
        if self.reorders:
            past = [tensor.index_select(0, rest[0]) for tensor in past]
        transformer = self.model.transformer
        embeddings = self.head if self.is_tied else transformer.wte.weight
        hidden = embedding(input_ids, embeddings) + embedding(position_ids, self.positions)
        mask = _causal_mask(attention_mask, input_ids.shape[1])
        presents = []
        for layer, block in enumerate(transformer.h):
            attended, *grown = _attend(block, hidden, past[2 * layer], past[2 * layer + 1], mask)
            presents += grown
            hidden = hidden + attended
            hidden = hidden + block.mlp(block.ln_2(hidden))
        logits = linear(transformer.ln_f(hidden), self.head)
        if self.suppresses:
            # In this order GenAI finds the product, and computes it only for the tokens that it draws after.
            logits = logits + (self.bias - logits.amin(-1, keepdim=True))
        return logits, *presents


def _causal_mask(attention_mask: torch.Tensor, tokens: int) -> torch.Tensor:
    """(batch, 1, tokens, cached tokens + tokens), added to the attention's scores."""
    total = attention_mask.shape[1]
    keys, queries = torch.arange(total), torch.arange(total - tokens, total)
    allowed = (keys[None, :] <= queries[:, None])[None, None] & attention_mask[:, None, None, :].bool()
    return torch.where(allowed, 0.0, torch.finfo(torch.float32).min)


def _attend(block, hidden, past_key, past_value, mask) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    attention = block.attn

    def by_head(tensor: torch.Tensor) -> torch.Tensor:
        batch, tokens, _ = tensor.shape
        return tensor.view(batch, tokens, attention.num_heads, attention.head_dim).transpose(1, 2)

    query, key, value = map(by_head, attention.c_attn(block.ln_1(hidden)).split(attention.split_size, dim=2))
    key, value = torch.cat((past_key, key), dim=2), torch.cat((past_value, value), dim=2)
    found = scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return attention.c_proj(found.transpose(1, 2).flatten(2)), key, value
