"""The meaning of each layer in float64 NumPy: slow, obvious, and the truth that tests compare with."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, assert_never

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from verydeep.spec import (
    LRN,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Network,
    PadChannels,
    Padding,
    Pair,
    Parallel,
    Pool,
    ReLU,
    Tanh,
)

Array: TypeAlias = npt.NDArray[np.float64]
Mode: TypeAlias = Literal["train", "eval"]


def run(
    network: Network,
    weights: Mapping[str, npt.NDArray[Any]],
    images: npt.NDArray[Any],
    *,
    mode: Mode = "eval",
    taps: Iterable[str] = (),
) -> dict[str, Array]:
    """The outputs of the named layers, and of the last one under the name "output".

    In train mode also the running statistics after the batch, by their canonical names.

    Args:
        network: What to run.
        weights: Canonical names, OIHW.
        images: (n, channels, height, width); any size that the network takes.
        mode: In "train" batch norm uses the batch's own statistics. Dropout must be absent or of rate 0.
        taps: Names of layers.
    """
    kept: dict[str, Array] = {}
    wanted = set(taps)
    x = images.astype(np.float64)
    for block in network.blocks:
        x = _sequence(block.layers, x, weights, mode, kept, wanted)
    return {**kept, "output": x}


def _sequence(
    layers: tuple[Layer, ...],
    x: Array,
    weights: Mapping[str, npt.NDArray[Any]],
    mode: Mode,
    kept: dict[str, Array],
    wanted: set[str],
) -> Array:
    for layer in layers:
        if isinstance(layer, Parallel):
            ends = [_sequence(path, x, weights, mode, kept, wanted) for path in layer.paths]
            x = np.concatenate(ends, axis=1) if layer.join == "concat" else sum(ends[1:], start=ends[0])
        else:
            own = {
                name.removeprefix(f"{layer.name}."): array.astype(np.float64)
                for name, array in weights.items()
                if name.startswith(f"{layer.name}.")
            }
            if isinstance(layer, BatchNorm) and mode == "train":
                kept.update({f"{layer.name}.{name}": array for name, array in _statistics(layer, x, own).items()})
            x = _apply(layer, x, own, mode)
        if layer.name in wanted:
            kept[layer.name] = x
    return x


def _apply(
    layer: Conv | Pool | Linear | BatchNorm | ReLU | Tanh | Dropout | LRN | Flatten | PadChannels,
    x: Array,
    own: dict[str, Array],
    mode: Mode,
) -> Array:
    match layer:
        case Conv():
            return _convolve(layer, x, own)
        case Pool():
            return _pool(layer, x)
        case Linear():
            return x @ own["weight"].T + own.get("bias", 0.0)
        case BatchNorm():
            return _normalise(layer, x, own, mode)
        case ReLU():
            return np.maximum(x, 0.0)
        case Tanh():
            return np.tanh(x)
        case Dropout():
            if mode == "train" and layer.rate > 0:
                raise ValueError(f"{layer.name}: the reference has no random numbers; build with dropout 0")
            return x
        case LRN():
            side = layer.size // 2
            squares = np.pad(x**2, ((0, 0), (side, side), (0, 0), (0, 0)))
            near = sum(squares[:, i : i + x.shape[1]] for i in range(layer.size))
            return x / (layer.k + layer.alpha * near) ** layer.beta
        case Flatten():
            return x.reshape(len(x), -1)
        case PadChannels():
            return np.pad(x, ((0, 0), (layer.before, layer.after), (0, 0), (0, 0)))
    assert_never(layer)


def _convolve(layer: Conv, x: Array, own: dict[str, Array]) -> Array:
    windows = _windows(np.pad(x, ((0, 0), (0, 0), *layer.padding)), layer.kernel, layer.stride, layer.dilation)
    inputs = np.split(windows, layer.groups, axis=1)
    kernels = np.split(own["weight"], layer.groups, axis=0)
    sums = [np.einsum("nchwij,ocij->nohw", i, k, optimize=True) for i, k in zip(inputs, kernels, strict=True)]
    y = np.concatenate(sums, axis=1)
    return y + own["bias"][:, None, None] if layer.bias else y


def _pool(layer: Pool, x: Array) -> Array:
    if layer.kernel is None:
        return x.max((2, 3), keepdims=True) if layer.pooling == "max" else x.mean((2, 3), keepdims=True)
    padding = layer.padding
    if layer.rounding == "ceil":
        padding = _extended(padding, x.shape[2:], layer)
    # NaN marks what is not part of the map, so that it counts neither in the maximum nor in the mean.
    padded = np.pad(x, ((0, 0), (0, 0), *padding), constant_values=np.nan)
    windows = _windows(padded, layer.kernel, layer.stride, (1, 1))
    return np.nanmax(windows, (4, 5)) if layer.pooling == "max" else np.nanmean(windows, (4, 5))


def _extended(padding: Padding, size: tuple[int, ...], layer: Pool) -> Padding:
    """Padding after the map grown until a last window that begins inside the map fits."""
    assert layer.kernel is not None
    sides: list[Pair] = []
    for axis in (0, 1):
        before, after = padding[axis]
        kernel, stride = layer.kernel[axis], layer.stride[axis]
        missing = -(size[axis] + before + after - kernel) % stride
        begins = size[axis] + before + after + missing - kernel
        sides.append((before, after + missing if begins < size[axis] + before else after))
    return sides[0], sides[1]


def _windows(x: Array, kernel: Pair, stride: Pair, dilation: Pair) -> Array:
    """Every window as (n, c, row, column, i, j)."""
    reach = tuple((kernel[axis] - 1) * dilation[axis] + 1 for axis in (0, 1))
    windows = sliding_window_view(x, reach, axis=(2, 3))
    return windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def _normalise(layer: BatchNorm, x: Array, own: dict[str, Array], mode: Mode) -> Array:
    axes = (0, *range(2, x.ndim))
    shape = (1, -1, *(1 for _ in range(2, x.ndim)))
    mean = x.mean(axes) if mode == "train" else own["running_mean"]
    variance = x.var(axes) if mode == "train" else own["running_var"]
    scale = own["weight"] / np.sqrt(variance + layer.epsilon)
    return (x - mean.reshape(shape)) * scale.reshape(shape) + own["bias"].reshape(shape)


def _statistics(layer: BatchNorm, x: Array, own: dict[str, Array]) -> dict[str, Array]:
    """The running statistics after a batch; the variance that they follow is the unbiased one."""
    axes = (0, *range(2, x.ndim))
    batch = {"running_mean": x.mean(axes), "running_var": x.var(axes, ddof=1)}
    return {name: (1 - layer.momentum) * own[name] + layer.momentum * batch[name] for name in batch}
