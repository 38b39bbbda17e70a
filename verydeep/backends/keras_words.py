"""How Keras says what a description states, as far as it takes no Keras to know: padding, names, sizes of images.

Keras pads by a word: "valid" is no padding, "same" gives size / stride positions, rounded up, and puts an odd row or
column after the map.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, assert_never

from verydeep.errors import ConfigError
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
    Shape,
    Signal,
    Tanh,
    walk,
)

NONE: Padding = ((0, 0), (0, 0))


@dataclass(frozen=True, slots=True)
class KerasPadding:
    """A word of Keras, "own" where it has none, and the zeros that a ZeroPadding2D puts around the map before."""

    word: Literal["valid", "same", "own"]
    zeros: Padding = NONE


@dataclass(frozen=True, slots=True)
class Plan:
    """What Keras's layers must know of the network around them."""

    images: tuple[int | None, int | None, int]  # (height, width, channels); None is any size
    shapes: Mapping[str, Shape]  # of the signal that each layer reads
    nonnegative: frozenset[str]  # layers that read no number below 0

    def pool(self, layer: Pool) -> KerasPadding:
        """The padding of a pool that has a kernel."""
        size = "any" if self.images[0] is None else "fixed"
        return of_pool(layer, self.shapes[layer.name], size=size, nonnegative=layer.name in self.nonnegative)

    def helper(self, name: str) -> str:
        """A name for a layer that the description does not have; Keras refuses one that is given twice."""
        return self.helper(f"{name}_") if name in self.shapes else name


def plan(network: Network) -> Plan:
    """The plan of `network`. Where it makes no vector, whose length would depend on it, the size of images is free.

    Raises:
        ConfigError: code NAME-RESERVED; a layer has a name that Keras cannot take, whatever it runs on.
    """
    steps = walk(network)
    for step in steps:
        if not step.layer.name.isascii():
            raise ConfigError(
                f"{network.name}: Keras cannot name a layer {step.layer.name!r} on TensorFlow, which takes only ASCII",
                code="NAME-RESERVED",
                hint="Rename the layer.",
            )
    channels, height, width = network.input
    has_vector = any(isinstance(step.layer, Flatten) for step in steps)
    return Plan(
        images=(height, width, channels) if has_vector else (None, None, channels),
        shapes={step.layer.name: step.before.shape for step in steps},
        nonnegative=reads_nonnegative(network),
    )


def of_conv(layer: Conv) -> KerasPadding:
    """The padding of a convolution; never "own"."""
    if layer.padding == NONE:
        return KerasPadding("valid")
    for sides, kernel, dilation, stride in zip(layer.padding, layer.kernel, layer.dilation, layer.stride, strict=True):
        total = (kernel - 1) * dilation
        if stride > 1 or sides != (total // 2, total - total // 2):
            return KerasPadding("valid", zeros=layer.padding)
    return KerasPadding("same")


def of_pool(layer: Pool, shape: Shape, *, size: Literal["fixed", "any"], nonnegative: bool) -> KerasPadding:
    """The padding of a pool that has a kernel.

    Args:
        layer: The pool.
        shape: (channels, height, width) of the map that it reads.
        size: Whether the map always has this height and width: "same" may be right for one size alone.
        nonnegative: Whether the map holds no number below 0, so that zeros around it change no maximum.
    """
    zeros = layer.padding
    if size == "fixed" or layer.stride == (1, 1):
        reached = _reached(layer, shape)
        if reached == NONE:
            return KerasPadding("valid")
        if _is_same(layer, shape):
            return KerasPadding("same")
        if layer.rounding == "ceil":
            zeros = reached
    elif layer.rounding == "ceil":
        return KerasPadding("own")
    elif zeros == NONE:
        return KerasPadding("valid")
    return KerasPadding("valid", zeros=zeros) if layer.pooling == "max" and nonnegative else KerasPadding("own")


def reads_nonnegative(network: Network) -> frozenset[str]:
    """The names of the layers that read a map without numbers below 0; images have both signs."""
    found: set[str] = set()
    nonnegative = False
    for block in network.blocks:
        nonnegative = _follow(block.layers, found, nonnegative=nonnegative)
    return frozenset(found)


def _follow(layers: tuple[Layer, ...], found: set[str], *, nonnegative: bool) -> bool:
    """Whether what leaves the last of `layers` is nonnegative; names the layers that read such a map in `found`."""
    for layer in layers:
        if nonnegative:
            found.add(layer.name)
        match layer:
            case ReLU():
                nonnegative = True
            case Conv() | Linear() | BatchNorm() | Tanh():
                nonnegative = False
            case Pool() | Dropout() | LRN() | Flatten() | PadChannels():
                pass
            case Parallel():
                ends = [_follow(path, found, nonnegative=nonnegative) for path in layer.paths]
                nonnegative = all(ends)
            case _:
                assert_never(layer)
    return nonnegative


def _reached(layer: Pool, shape: Shape) -> Padding:
    """The padding that windows read: with what rounding up adds, and without what is left over at the end."""
    kernel = layer.kernel or (1, 1)
    counts = layer.infer(Signal(shape)).shape[1:]

    def sides(axis: int) -> Pair:
        before = layer.padding[axis][0]
        end = (counts[axis] - 1) * layer.stride[axis] + kernel[axis] - before
        return before, max(end - shape[1 + axis], 0)

    return sides(0), sides(1)


def _is_same(layer: Pool, shape: Shape) -> bool:
    """Whether "same" means the windows of `layer` on a map of this shape, in every framework that Keras runs on."""
    kernel = layer.kernel or (1, 1)
    counts = layer.infer(Signal(shape)).shape[1:]
    for axis in (0, 1):
        size, stride, before = shape[1 + axis], layer.stride[axis], layer.padding[axis][0]
        count = -(-size // stride)
        total = max((count - 1) * stride + kernel[axis] - size, 0)
        if counts[axis] != count or before != total // 2:
            return False
        if layer.pooling == "average" and total % 2:  # on PyTorch, Keras repeats the last row and counts it
            return False
    return True
