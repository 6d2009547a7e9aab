"""Muon for the matrices inside a model and AdamW for the rest, behind one `torch.optim.Optimizer`.

Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/) replaces the momentum of a weight
matrix by the nearest orthogonal one. Embeddings, the output layer, biases and norms are not such matrices and
keep AdamW. The update is scaled to the size of AdamW's (Liu et al., 2025, arXiv:2502.16982), so that one
learning rate fits both.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn


class MuonWithAdamW(torch.optim.Optimizer):
    """Both optimizers over the same parameter groups and the same state, which are saved and loaded as one.

    Args:
        model: whose parameters are trained; matrices are told by `hidden_matrices`.
        lr: learning rate of both.
        weight_decay: decoupled, of Muon's matrices and of the parameters named in `decayed`.
        decayed: names of AdamW's parameters that decay.
        **adamw: further arguments of AdamW.
    """

    def __init__(self, model: nn.Module, lr: float, weight_decay: float, decayed: Collection[str], **adamw):
        matrices = hidden_matrices(model)
        others = {n: p for n, p in model.named_parameters() if n not in matrices and p.requires_grad}
        self.muon = torch.optim.Muon(
            matrices.values(), lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        groups = [
            {"params": [p for n, p in others.items() if n in decayed], "weight_decay": weight_decay},
            {"params": [p for n, p in others.items() if n not in decayed], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(groups, lr=lr, **adamw)
        super().__init__([*self.muon.param_groups, *self.adamw.param_groups], {})
        self._share()

    def _share(self) -> None:
        self.muon.param_groups, self.adamw.param_groups = self.param_groups[:1], self.param_groups[1:]
        self.muon.state = self.adamw.state = self.state

    def load_state_dict(self, state_dict: dict) -> None:
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure=None):
        loss = None if closure is None else closure()
        self.muon.step()
        self.adamw.step()
        return loss


def hidden_matrices(model: nn.Module) -> dict[str, nn.Parameter]:
    """The trained weight matrices, by name, that are neither an embedding nor the output layer."""
    ends = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    ends.append(model.get_output_embeddings())
    of_ends = {id(parameter) for module in ends if module is not None for parameter in module.parameters()}
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2 and parameter.requires_grad and id(parameter) not in of_ends
    }
