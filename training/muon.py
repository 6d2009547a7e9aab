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

from chat.devices import computes_in_bfloat16


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
        muon = torch.optim.Muon if computes_in_bfloat16(model.device) else Float32Muon
        self.muon = muon(matrices.values(), lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
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


class Float32Muon(torch.optim.Muon):
    """`torch.optim.Muon` as it is used here, in the weights' own precision, with the same state.

    torch's always takes bfloat16 to make a matrix orthogonal. Where the device has no instructions for that,
    it takes several times as long as all else of a step.
    """

    @torch.no_grad()
    def step(self) -> None:
        (group,) = self.param_groups
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(weight)
            average = state["momentum_buffer"]
            average.lerp_(weight.grad, 1 - group["momentum"])
            update = weight.grad.lerp(average, group["momentum"])
            update = orthogonal(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.add_(update, alpha=-group["lr"] * 0.2 * max(weight.shape) ** 0.5)


def orthogonal(
    matrix: torch.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> torch.Tensor:
    """About the nearest orthogonal matrix, by Newton-Schulz iterations (Jordan et al., 2024).

    Its singular values are from about 0.7 to 1.2. Shape and precision are those of `matrix`.
    """
    a, b, c = coefficients
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


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
