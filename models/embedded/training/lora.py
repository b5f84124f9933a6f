"""Low-rank updates of a frozen network's linear layers, as in PEFT."""

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import nn

RANK = 12
ALPHA = 24.0


def products_of(device: torch.device) -> torch.dtype:
    """The dtype of matrix products: bfloat16, as in serving, if the processor has instructions for it, which are
    several times as fast."""
    fast = device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


class LoraLinear(nn.Module):
    """y = W x + b + alpha / r * B A x, with W and b frozen, in `products`."""

    def __init__(self, linear: nn.Linear, products: torch.dtype) -> None:
        super().__init__()
        self._products = products
        self.weight = nn.Parameter(linear.weight.to(products), requires_grad=False)
        bias = None if linear.bias is None else linear.bias.to(products)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.lora_A = nn.Parameter(torch.randn(RANK, linear.in_features) / linear.in_features**0.5)
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, RANK))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1]).to(self._products)
        low = rows @ self.lora_A.to(self._products).T
        frozen = F.linear(rows, self.weight, self.bias)
        y = torch.addmm(frozen, low, self.lora_B.to(self._products).T, alpha=ALPHA / RANK)
        return y.view(*x.shape[:-1], -1)


def adapt(network: nn.Module, modules: Collection[str], products: torch.dtype) -> None:
    """Freezes the network and adds an update to each linear layer with one of the names."""
    network.requires_grad_(False)
    for name, linear in list(network.named_modules()):
        parent, _, child = name.rpartition(".")
        if child in modules and isinstance(linear, nn.Linear):
            setattr(network.get_submodule(parent), child, LoraLinear(linear, products))


def adapters(network: nn.Module, prefix: str) -> dict[str, nn.Parameter]:
    """The updates' parameters, with their names in the trained part's file."""
    return {
        f"{prefix}{name}.weight": parameter for name, parameter in network.named_parameters() if parameter.requires_grad
    }


@torch.no_grad()
def of_our_rank(a: torch.Tensor, b: torch.Tensor, alpha: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A [r, in] and B [out, r] of another rank or alpha => the closest ones with RANK and ALPHA."""
    q_out, r_out = torch.linalg.qr(b)
    q_in, r_in = torch.linalg.qr(a.T)
    u, s, vh = torch.linalg.svd(r_out @ r_in.T * (alpha / len(a)) / (ALPHA / RANK))
    root = s[:RANK].sqrt()
    return root[:, None] * vh[:RANK] @ q_in.T, q_out @ u[:, :RANK] * root
