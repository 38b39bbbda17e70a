"""The layers that Gluon (MXNet 1.9) lacks; each computes with arrays and with symbols, so that `hybridize` compiles it.

`F` is `mxnet.nd` or `mxnet.sym`: a symbol's sizes are not known yet, so nothing here may ask for them.
"""

# ruff: noqa: N803 - F is Gluon's name for the operators
# pyright: reportMissingImports=false
# MXNet has an environment of its own (scripts/mxnet-env).

from typing import Any

from mxnet.gluon import nn

from verydeep.backends.mxnet_windows import axes_beyond
from verydeep.spec import LRN, Padding, Pool


class BatchNorm(nn.BatchNorm):
    """Gluon's batch norm, but the running variance follows the unbiased variance of the batch, divided by n - 1.

    As always in MXNet, the running statistics change in the backward pass.
    """

    def hybrid_forward(self, F: Any, x: Any, gamma: Any, beta: Any, running_mean: Any, running_var: Any) -> Any:
        """(n, c, ...) to (n, c, ...)."""
        arrays = gamma, beta, running_mean, running_var
        still = {**self._kwargs, "momentum": 1.0}  # this leaves the running statistics as they are
        y, mean, scale = F.BatchNorm(x, *arrays, output_mean_var=True, name="fwd", **still)
        variance = F.maximum(1 / F.square(scale) - self._kwargs["eps"], 0)  # scale is 1 / sqrt(variance + epsilon)
        n = F.broadcast_div(F.size_array(x), F.size_array(gamma)).astype(self.gamma.dtype)
        unbiased = F.broadcast_mul(variance, F.broadcast_div(n, F.maximum(n - 1, 1)))
        # A batch of two whose mean and biased variance are what the running statistics are to follow.
        pair = F.stack(mean - F.sqrt(unbiased), mean + F.sqrt(unbiased), axis=0)
        followed = F.BatchNorm(pair, *arrays, **self._kwargs)
        return F.slice_like(y, followed, axes=(1,))  # the whole of y; so the backward pass reaches `followed`


class LocalResponseNorm(nn.HybridBlock):
    """Local response normalisation over channels by the published formula: alpha is not divided by the size."""

    def __init__(self, layer: LRN, **options: Any) -> None:
        super().__init__(**options)
        # MXNet divides alpha by the size.
        self._kwargs = {"nsize": layer.size, "alpha": layer.alpha * layer.size, "beta": layer.beta, "knorm": layer.k}

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """(n, c, h, w) to (n, c, h, w)."""
        return F.LRN(x, name="fwd", **self._kwargs)

    def __repr__(self) -> str:
        """The layer and its constants."""
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in self._kwargs.items())})"


class Sum(nn.HybridSequential):
    """Children that read the same map; their outputs are added."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """(n, c, h, w) to (n, c', h', w')."""
        total, *others = (path(x) for path in self._children.values())
        for other in others:
            total = total + other
        return total


class ZeroChannels(nn.HybridBlock):
    """Channels of zeros before and after the map's own."""

    def __init__(self, before: int, after: int, **options: Any) -> None:
        super().__init__(**options)
        self.before, self.after = before, after

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """(n, c, h, w) to (n, before + c + after, h, w)."""
        zero = F.zeros_like(F.slice_axis(x, axis=1, begin=0, end=1))
        return F.concat(*[zero] * self.before, x, *[zero] * self.after, dim=1)


class UnevenConv2D(nn.Conv2D):
    """A convolution whose padding differs between the sides; its weights are those of `nn.Conv2D`."""

    def __init__(self, *args: Any, sides: Padding, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sides = sides

    def hybrid_forward(self, F: Any, x: Any, weight: Any, bias: Any = None) -> Any:
        """(n, c, h, w) to (n, c', h', w')."""
        return super().hybrid_forward(F, _padded(F, x, self.sides), weight, bias)


class UnevenPool2D(nn.HybridBlock):
    """A pool whose padding differs between the sides, or whose last window may begin in it; padding never counts."""

    def __init__(self, pool: Pool, **options: Any) -> None:
        super().__init__(**options)
        self.pool = pool

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """(n, c, h, w) to (n, c, h', w')."""
        if self.pool.pooling == "max":
            return self._slide(F, x, "max", outside=float("-inf"))
        ones = F.ones_like(F.slice(x, begin=(0, 0), end=(1, 1)))
        return F.broadcast_div(self._slide(F, x, "sum", outside=0.0), self._slide(F, ones, "sum", outside=0.0))

    def _slide(self, F: Any, x: Any, kind: str, *, outside: float) -> Any:
        kernel, stride, sides = self.pool.kernel or (1, 1), self.pool.stride, self.pool.padding
        convention = "full" if self.pool.rounding == "ceil" else "valid"
        padded = _padded(F, x, sides, outside)
        y = F.Pooling(padded, kernel=kernel, stride=stride, pool_type=kind, pooling_convention=convention)
        axes = axes_beyond(self.pool)
        if not axes:
            return y
        (top, _), (left, _) = sides
        begins = F.slice(
            _padded(F, x, ((top, 0), (left, 0))), begin=(0, 0, 0, 0), end=(1, 1, None, None), step=(1, 1, *stride)
        )  # one position for every window that begins inside the map
        return F.slice_like(y, begins, axes=tuple(2 + axis for axis in axes))


def _padded(F: Any, x: Any, sides: Padding, value: float = 0.0) -> Any:
    (top, bottom), (left, right) = sides
    return F.pad(x, mode="constant", pad_width=(0, 0, 0, 0, top, bottom, left, right), constant_value=value)
