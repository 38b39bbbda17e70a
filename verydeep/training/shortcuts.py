"""The layers of a network in training, computed with less work: the same function, names and weights."""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from verydeep.training import convolution, pooling
from verydeep.training.convolution import TiledConv2d
from verydeep.training.our_kernels import share_threads
from verydeep.training.pooling import FastMaxPool2d

LARGE = 2**18  # weights of a linear layer from which oneDNN's product is worth its call
STEPS = 2**16  # of a dropout rate: each number is decided by 16 random bits


def take_shortcuts(model: nn.Sequential, *, precision: str = "float32") -> nn.Sequential:
    """`model`, with layers replaced in place by quicker ones that hold the same parameters under the same names.

    `precision` is what the network will compute in: of convolutions only those of "float32" are ours.
    """
    for module in list(model.modules()):
        if isinstance(module, nn.Sequential):
            _shorten(module)
    for module in model.modules():
        if type(module) is nn.MaxPool2d and pooling.suits(module):
            module.__class__ = FastMaxPool2d
        elif precision == "float32" and isinstance(module, nn.Conv2d) and convolution.suits(module):
            module.__class__ = TiledConv2d
    if any(_is_ours(module) for module in model.modules()):
        share_threads()
    return model


def _is_ours(module: nn.Module) -> bool:
    return isinstance(module, TiledConv2d) or (isinstance(module, FastMaxPool2d) and pooling.suits(module))


class CountedDropout(nn.Dropout):
    """Dropout whose random numbers are drawn four to a 64-bit word; PyTorch draws one word for each on the CPU.

    The rate is rounded to a multiple of 2**-16, and what stays is divided by the rounded share.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape; the same shape."""
        if not self.training or not 1 / STEPS <= self.p < 1 or input.device.type != "cpu":
            return super().forward(input)
        dropped = min(round(self.p * STEPS), STEPS - 1)
        count = input.numel()
        words = torch.empty(math.ceil(count / 4), dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.int16)[:count].view(input.shape) >= dropped - STEPS // 2
        return input * kept.to(input.dtype).mul_(STEPS / (STEPS - dropped))


class LargeLinear(nn.Linear):
    """A linear layer whose float32 products on the CPU are oneDNN's.

    PyTorch takes MKL's, which use half of the width of an AMD processor's registers.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(n, features of the input) to (n, features)."""
        wide = input.dtype == torch.float32 and input.ndim == 2 and input.device.type == "cpu"
        if not wide or torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        return _Product.apply(input, self.weight, self.bias)  # type: ignore[no-any-return]


class _Product(torch.autograd.Function):
    """x W^T + b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x, weight)
        return _times(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _times(gradient, weight.t()) if of_x else None,
            _times(gradient.t(), x.t()) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


def _times(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """A B^T + bias: a (n, k), b (m, k), to (n, m)."""
    return torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")  # type: ignore[no-any-return]


def _shorten(layers: nn.Sequential) -> None:
    for (name, layer), (after, pool) in pairwise(list(layers.named_children())):
        if type(layer) is nn.ReLU and type(pool) is nn.MaxPool2d and not pool.return_indices:
            setattr(layers, name, nn.Identity())
            setattr(layers, after, pooling.rectified(pool))
    for name, layer in list(layers.named_children()):
        if type(layer) is nn.Dropout:
            setattr(layers, name, CountedDropout(layer.p))
        elif type(layer) is nn.Linear and layer.weight.numel() >= LARGE and _has_onednn():
            layer.__class__ = LargeLinear


def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
