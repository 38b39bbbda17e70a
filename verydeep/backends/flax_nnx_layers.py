"""The layers that Flax NNX lacks, or means otherwise, as its own modules; maps are (n, height, width, channels)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from verydeep import spec
from verydeep.errors import ConfigError


class Sequential(nnx.Module):
    """Modules one after another, each an attribute with a name of its own; `nnx.Sequential` has numbers for names."""

    def __init__(self, children: Mapping[str, nnx.Module]) -> None:
        self.order = tuple(children)  # JAX sorts attributes by name
        for name, child in children.items():
            setattr(self, name, child)

    def __call__(self, x: jax.Array) -> jax.Array:
        """What the last child makes of what the others made of `x`; `x` itself without children."""
        for name in self.order:
            x = getattr(self, name)(x)
        return x


class Paths(nnx.Module):
    """Children that read the same map; their outputs are put side by side ("concat") or added ("add")."""

    def __init__(self, paths: Sequence[Sequential], join: Literal["concat", "add"]) -> None:
        self.order = tuple(f"path{number}" for number in range(1, len(paths) + 1))
        self.join = join
        for name, path in zip(self.order, paths, strict=True):
            setattr(self, name, path)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(n, h, w, c) to (n, h', w', c')."""
        return self.joined([getattr(self, name)(x) for name in self.order])

    def joined(self, ends: Sequence[jax.Array]) -> jax.Array:
        """The outputs of all children as one map."""
        if self.join == "concat":
            return jnp.concatenate(ends, axis=-1)
        return sum(ends[1:], start=ends[0])


class BatchNorm(nnx.BatchNorm):
    """`nnx.BatchNorm` whose running variance follows the unbiased variance of a batch, as the spec and PyTorch say.

    Raises:
        ConfigError: in training, a batch has one number for each channel; they have no variance.
    """

    def __call__(self, x: jax.Array, use_running_average: bool | None = None, *, mask: None = None) -> jax.Array:
        """(n, h, w, c) or (n, c) to the same shape."""
        frozen = self.use_running_average if use_running_average is None else use_running_average
        if frozen:
            return super().__call__(x, frozen)
        count = x.size // x.shape[-1]
        if count == 1:
            raise ConfigError(
                "batch norm in training needs more than one number for each channel",
                code="BATCH-NORM",
                hint="Give a batch of 2 or more images.",
            )
        before = self.var[...]
        y = super().__call__(x, frozen)
        # What Flax has added is (1 - momentum) * sum / n; sum / (n - 1) is 1 / (n - 1) of that more.
        self.var[...] += (self.var[...] - self.momentum * before) / (count - 1)
        return y


class Pool(nnx.Module):
    """The maximum or the mean of each window; the padding never counts."""

    def __init__(self, layer: spec.Pool) -> None:
        self.layer = layer

    def __call__(self, x: jax.Array) -> jax.Array:
        """(n, h, w, c) to (n, h', w', c)."""
        kernel, average = self.layer.kernel, self.layer.pooling == "average"
        if kernel is None:
            return x.mean((1, 2), keepdims=True) if average else x.max((1, 2), keepdims=True)
        _, height, width, channels = x.shape
        _, *counts = self.layer.infer(spec.Signal((channels, height, width))).shape
        sides: Any = []  # pairs; the annotation of Flax's pools wants a str
        for axis, (size, count) in enumerate(zip((height, width), counts, strict=True)):
            before = self.layer.padding[axis][0]
            end = (count - 1) * self.layer.stride[axis] + kernel[axis]  # of the last window
            sides.append((before, max(end - before - size, 0)))
        if average:
            return nnx.avg_pool(x, kernel, self.layer.stride, sides, count_include_pad=False)
        return nnx.max_pool(x, kernel, self.layer.stride, sides)


class ReLU(nnx.Module):
    """max(x, 0)."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """Any shape to the same."""
        return nnx.relu(x)


class Tanh(nnx.Module):
    """The hyperbolic tangent."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """Any shape to the same."""
        return jnp.tanh(x)


class LRN(nnx.Module):
    """Local response normalisation over channels by the published formula: alpha is not divided by the size."""

    def __init__(self, layer: spec.LRN) -> None:
        self.layer = layer

    def __call__(self, x: jax.Array) -> jax.Array:
        """(n, h, w, c) to the same shape."""
        size, side = self.layer.size, self.layer.size // 2
        window, padding = (1, 1, 1, size), ((0, 0), (0, 0), (0, 0), (side, side))
        near = jax.lax.reduce_window(x * x, 0.0, jax.lax.add, window, (1, 1, 1, 1), padding)
        return x / (self.layer.k + self.layer.alpha * near) ** self.layer.beta


class Flatten(nnx.Module):
    """A map as one vector, channel-major: channel, row, column, as in every backend."""

    def __call__(self, x: jax.Array) -> jax.Array:
        """(n, h, w, c) to (n, c * h * w)."""
        return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


class PadChannels(nnx.Module):
    """Channels of zeros before and after the map's own."""

    def __init__(self, before: int, after: int) -> None:
        self.before, self.after = before, after

    def __call__(self, x: jax.Array) -> jax.Array:
        """(n, h, w, c) to (n, h, w, before + c + after)."""
        return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (self.before, self.after)))
