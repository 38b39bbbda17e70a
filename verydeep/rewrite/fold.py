"""Batch norm folded into the layer before it: fewer layers, the same answers in evaluation (arXiv:1502.03167).

In evaluation batch norm is scale * x + shift with scale = weight / sqrt(running_var + epsilon) and shift = bias -
running_mean * scale, so a convolution before it can do the same: its kernel times scale, its bias likewise.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from verydeep.errors import SpecError
from verydeep.spec import BatchNorm, Block, Conv, Layer, Linear, Network, Parallel
from verydeep.weights.fit import refuse_misfit, shapes

Array = npt.NDArray[Any]
Pair = tuple[Conv | Linear, BatchNorm]


def fold(network: Network) -> Network:
    """`network` without the batch norms that stand right behind a Conv or Linear, which get a bias; others stay.

    The folded network is for evaluation: training it has no batch statistics.

    Raises:
        SpecError: no batch norm stands there.
    """
    blocks = tuple(Block(block.name, _fold(block.layers)) for block in network.blocks)
    if blocks == network.blocks:
        raise SpecError(f"{network.name} has nothing to fold: no batch norm right behind a Conv or Linear")
    return replace(network, name=f"{network.name}_folded", blocks=blocks)


def fold_weights(network: Network, weights: Mapping[str, Array]) -> dict[str, Array]:
    """The weights of `network`, which has the batch norms, for `fold(network)`.

    Computed in float64 and given back in the type of the layer's own weight.

    Raises:
        SpecError: as in `fold`.
        WeightsError: `weights` are not those of `network`.
    """
    refuse_misfit(shapes(network), weights, of=network.name)
    folded = dict(weights)
    for block in network.blocks:
        for layer, norm in _pairs(block.layers):
            folded |= folded_arrays(layer, norm, weights=weights)
    return {name: folded[name] for name in shapes(fold(network))}


def folded_arrays(layer: Conv | Linear, norm: BatchNorm, *, weights: Mapping[str, Array]) -> dict[str, Array]:
    """The weight and the bias, by canonical name, of a `layer` that does the work of the `norm` behind it too."""
    weight = weights[f"{layer.name}.weight"]
    scale, mean, shift = _arithmetic(norm, weights)
    bias = weights[f"{layer.name}.bias"].astype(np.float64) if layer.bias else np.zeros_like(mean)
    per_output = scale.reshape(-1, *[1] * (weight.ndim - 1))
    return {
        f"{layer.name}.weight": (weight * per_output).astype(weight.dtype),
        f"{layer.name}.bias": ((bias - mean) * scale + shift).astype(weight.dtype),
    }


def scale_and_shift(norm: BatchNorm, *, weights: Mapping[str, Array]) -> tuple[Array, Array]:
    """What a batch norm does to each channel in evaluation, scale * x + shift; float64."""
    scale, mean, shift = _arithmetic(norm, weights)
    return scale, shift - mean * scale


def _fold(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    pairs = list(_here(layers))
    folded = {layer.name for layer, _ in pairs}
    gone = {norm.name for _, norm in pairs}
    return tuple(_with_bias(layer, folded) for layer in layers if layer.name not in gone)


def _with_bias(layer: Layer, folded: set[str]) -> Layer:
    if isinstance(layer, Parallel):
        return replace(layer, paths=tuple(_fold(path) for path in layer.paths))
    if isinstance(layer, Conv | Linear) and layer.name in folded:
        return replace(layer, bias=True)
    return layer


def _here(layers: tuple[Layer, ...]) -> Iterator[Pair]:
    """Each layer of this path with the batch norm right behind it."""
    for layer, norm in pairwise(layers):
        if isinstance(layer, Conv | Linear) and isinstance(norm, BatchNorm):
            yield layer, norm


def _pairs(layers: tuple[Layer, ...]) -> Iterator[Pair]:
    """The same for this path and all paths inside it."""
    yield from _here(layers)
    for layer in layers:
        if isinstance(layer, Parallel):
            for path in layer.paths:
                yield from _pairs(path)


def _arithmetic(norm: BatchNorm, weights: Mapping[str, Array]) -> tuple[Array, Array, Array]:
    """The scale, the mean that is taken off before it and the shift that is added after it, in float64."""
    gain, shift, mean, variance = (
        weights[f"{norm.name}.{name}"].astype(np.float64) for name in ("weight", "bias", "running_mean", "running_var")
    )
    return gain / np.sqrt(variance + norm.epsilon), mean, shift
