"""The fully convolutional form of a network: it scores every place of an image of any size (arXiv:1409.1556, 3.2).

The first fully connected layer becomes a convolution whose kernel is the map that it read (7x7 for VGG at 224), the
later ones become 1x1 convolutions, and a pool over the whole map becomes a window of that map's size. The names stay,
and the weights are the same numbers in the same order: `Flatten` is channel-major, as a kernel is.

What is equal to what: at the network's own input size the dense form gives the same logits, as a 1x1 map. On a larger
image the cell (i, j) depends on its receptive field alone: every crop that contains the whole field and starts at a
multiple of the step has the same logits in the cell that stands there. The field is larger than the input size where
convolutions are padded (404 against 224 in column D), so a crop of 224 shows them zeros where the image goes on: the
cell equals the logits of the crop under it only in a network without padding, in column D it differs from them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, assert_never

import numpy.typing as npt

from verydeep.errors import SpecError
from verydeep.spec import (
    LRN,
    BatchNorm,
    Block,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Network,
    PadChannels,
    Pair,
    Parallel,
    Pool,
    ReLU,
    Signal,
    Tanh,
    walk,
)
from verydeep.weights.fit import refuse_misfit, shapes

Array = npt.NDArray[Any]


def dense(network: Network) -> Network:
    """`network` with convolutions and windows only; `cut.resize` gives it the size of a larger image.

    Raises:
        SpecError: there is nothing to turn, or a layer has no such form.
    """
    signals = {step.layer.name: step.before for step in walk(network)}
    blocks: list[Block] = []
    unread: Pair = (1, 1)  # size of the map that a Flatten made flat and that no layer has read yet
    for block in network.blocks:
        layers: list[Layer] = []
        for layer in block.layers:
            turned, unread = _turn(layer, signals[layer.name], unread=unread)
            layers.extend(turned)
        if layers:
            blocks.append(Block(block.name, tuple(layers)))
    if unread != (1, 1):
        raise SpecError(f"{network.name}: no Linear reads the map of {unread[0]}x{unread[1]} that Flatten made flat")
    if is_dense(network):
        raise SpecError(
            f"{network.name} has nothing to turn: no Flatten, no Linear and no pool over the whole map",
            hint="It takes larger images as it is.",
        )
    return replace(network, name=f"{network.name}_dense", blocks=tuple(blocks))


def is_dense(network: Network) -> bool:
    """Whether there is nothing to turn: the network takes larger images as it is, and `dense` refuses it."""
    return not any(
        isinstance(step.layer, Flatten | Linear) or (isinstance(step.layer, Pool) and step.layer.kernel is None)
        for step in walk(network)
    )


def dense_weights(network: Network, weights: Mapping[str, Array]) -> dict[str, Array]:
    """The weights of `network` for `dense(network)`: the same memory under new shapes, nothing copied or permuted.

    Raises:
        WeightsError: `weights` are not those of `network`.
    """
    refuse_misfit(shapes(network), weights, of=network.name)
    return {name: weights[name].reshape(shape) for name, shape in shapes(dense(network)).items()}


def _turn(layer: Layer, signal: Signal, *, unread: Pair) -> tuple[tuple[Layer, ...], Pair]:
    """What stands for `layer`, and the map that is still unread after it."""
    match layer:
        case Flatten():
            return (), _size(signal)
        case Linear():
            return (Conv(layer.name, layer.features, kernel=unread, bias=layer.bias),), (1, 1)
        case Pool():
            return (replace(layer, kernel=_size(signal)) if layer.kernel is None else layer,), unread
        case BatchNorm():
            if unread != (1, 1):
                raise SpecError(f"{layer.name} normalises each place of a flat map by itself: it has no dense form")
            return (layer,), unread
        case Parallel():
            _refuse_whole_maps(layer)
            return (layer,), unread
        case Conv() | ReLU() | Tanh() | Dropout() | LRN() | PadChannels():
            return (layer,), unread
    assert_never(layer)


def _refuse_whole_maps(join: Parallel) -> None:
    for layer in (layer for path in join.paths for layer in path):
        if isinstance(layer, Parallel):
            _refuse_whole_maps(layer)
        elif isinstance(layer, Flatten | Linear) or (isinstance(layer, Pool) and layer.kernel is None):
            raise SpecError(f"{layer.name} reads the whole map inside {join.name}: it has no dense form")


def _size(signal: Signal) -> Pair:
    _, height, width = signal.shape
    return height, width
