"""The vocabulary of a network: eleven kinds of layer, blocks of layers, and the network that holds the blocks.

A `Network` that exists is valid. Shapes, weights, costs and receptive fields are not stored: they follow from one
abstract run over the layers (`walk`). What cannot be said: loops, shared weights, several inputs, control flow that
depends on data. Several outputs are *taps*: layers read by name while the network runs.
"""

import math
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from verydeep.errors import SpecError

Shape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[int, int]  # (vertical, horizontal)
Padding: TypeAlias = tuple[Pair, Pair]  # ((top, bottom), (left, right))

LARGEST = 2**31 - 1  # of every whole number in a description: what 32-bit frameworks count to


@dataclass(frozen=True, slots=True)
class Signal:
    """What flows between two layers, and what one of its positions sees of the input image.

    Lengths are pixels of the input, as (vertical, horizontal); nothing is clipped at the image's border.
    """

    shape: Shape  # (channels, height, width), or (features,) after Flatten
    receptive_field: Pair = (1, 1)  # size of the window that one position sees
    step: Pair = (1, 1)  # distance between the windows of two neighbours
    origin: Pair = (0, 0)  # first pixel of the window of position (0, 0); negative inside the padding


@dataclass(frozen=True, slots=True)
class Weight:
    """One array of a layer: its name in the layer, its shape, and whether training by gradient changes it."""

    name: str
    shape: Shape
    learned: bool = True


class _Layer(ABC):
    """What every kind of layer can say of itself."""

    __slots__ = ()

    @abstractmethod
    def infer(self, signal: Signal) -> Signal:
        """The signal that leaves the layer when `signal` enters; SpecError where it cannot."""

    def weights(self, signal: Signal) -> tuple[Weight, ...]:
        """The arrays that the layer holds when it reads `signal`."""
        del signal
        return ()

    def macs(self, signal: Signal) -> int:
        """Multiply-accumulate operations of one image; convolutions and linear layers only, the field's convention."""
        del signal
        return 0


@dataclass(frozen=True, slots=True)
class Conv(_Layer):
    """A convolution (cross-correlation) over a map; weights are (channels, channels of the input / groups, *kernel)."""

    name: str
    channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))  # zeros
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_whole(self.channels, "channels", least=1)
        _check_pair(self.kernel, "kernel", least=1)
        _check_pair(self.stride, "stride", least=1)
        _check_padding(self.padding)
        _check_pair(self.dilation, "dilation", least=1)
        _check_whole(self.groups, "groups", least=1)
        _check_flag(self.bias, "bias")

    def infer(self, signal: Signal) -> Signal:
        channels, *_ = _map_shape(signal)
        for side, count in (("input", channels), ("output", self.channels)):
            if count % self.groups:
                raise SpecError(f"{self.groups} groups do not divide {count} {side} channels")
        return _slide(self, signal, channels=self.channels)

    def weights(self, signal: Signal) -> tuple[Weight, ...]:
        weight = Weight("weight", (self.channels, signal.shape[0] // self.groups, *self.kernel))
        return (weight, Weight("bias", (self.channels,))) if self.bias else (weight,)

    def macs(self, signal: Signal) -> int:
        _, height, width = self.infer(signal).shape
        return height * width * self.channels * (signal.shape[0] // self.groups) * self.kernel[0] * self.kernel[1]


@dataclass(frozen=True, slots=True)
class Pool(_Layer):
    """The maximum or the mean of each window; `kernel=None` is one window over the whole map.

    Padding never counts: the maximum ignores it and the mean divides by the number of real positions in the window.
    With `rounding="ceil"` a last window that begins inside the map may reach beyond it.
    """

    name: str
    pooling: Literal["max", "average"]
    kernel: Pair | None
    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    rounding: Literal["floor", "ceil"] = "floor"

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_choice(self.pooling, "pooling", ("max", "average"))
        _check_choice(self.rounding, "rounding", ("floor", "ceil"))
        _check_pair(self.stride, "stride", least=1)
        _check_padding(self.padding)
        if self.kernel is None:
            if self.stride != (1, 1) or self.padding != ((0, 0), (0, 0)):
                raise SpecError("a pool over the whole map has no stride and no padding")
            return
        _check_pair(self.kernel, "kernel", least=1)
        for size, padding in zip(self.kernel, self.padding, strict=True):
            if max(padding) >= size:
                raise SpecError(f"a padding of {max(padding)} leaves a window of {size} with nothing to read")

    def infer(self, signal: Signal) -> Signal:
        channels, *size = _map_shape(signal)
        if self.kernel is None:
            return _whole_map(signal, (channels, 1, 1))
        if min(size) < 1:
            raise SpecError("there is nothing to pool")
        return _slide(self, signal, channels=channels)


@dataclass(frozen=True, slots=True)
class Linear(_Layer):
    """A fully connected layer over a flat vector; weights are (features, features of the input)."""

    name: str
    features: int
    bias: bool = True

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_whole(self.features, "features", least=1)
        _check_flag(self.bias, "bias")

    def infer(self, signal: Signal) -> Signal:
        if len(signal.shape) != 1:
            raise SpecError(f"a linear layer reads a flat vector, not {_sizes(signal.shape)}; put a Flatten before it")
        return Signal((self.features,), signal.receptive_field, signal.step, signal.origin)

    def weights(self, signal: Signal) -> tuple[Weight, ...]:
        weight = Weight("weight", (self.features, signal.shape[0]))
        return (weight, Weight("bias", (self.features,))) if self.bias else (weight,)

    def macs(self, signal: Signal) -> int:
        return self.features * signal.shape[0]


@dataclass(frozen=True, slots=True)
class BatchNorm(_Layer):
    """Each channel brought to mean 0 and variance 1, then scaled by `weight` and shifted by `bias`.

    Training uses the batch's mean and biased variance; evaluation the running ones. After a batch,
    running = (1 - momentum) * running + momentum * batch, with the unbiased variance (PyTorch's sense of both).
    """

    name: str
    epsilon: float = 1e-5
    momentum: float = 0.1

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_number(self.epsilon, "epsilon", open_ends=True)
        _check_number(self.momentum, "momentum", most=1.0)

    def infer(self, signal: Signal) -> Signal:
        return signal

    def weights(self, signal: Signal) -> tuple[Weight, ...]:
        shape = (signal.shape[0],)
        return (
            Weight("weight", shape),
            Weight("bias", shape),
            Weight("running_mean", shape, learned=False),
            Weight("running_var", shape, learned=False),
        )


@dataclass(frozen=True, slots=True)
class ReLU(_Layer):
    """max(x, 0), a layer of its own so that it can be tapped and so that its place is visible."""

    name: str

    def __post_init__(self) -> None:
        _check_name(self.name)

    def infer(self, signal: Signal) -> Signal:
        return signal


@dataclass(frozen=True, slots=True)
class Tanh(_Layer):
    """The hyperbolic tangent, the activation of LeNet-5."""

    name: str

    def __post_init__(self) -> None:
        _check_name(self.name)

    def infer(self, signal: Signal) -> Signal:
        return signal


@dataclass(frozen=True, slots=True)
class Dropout(_Layer):
    """In training each number becomes 0 with probability `rate`, the others are divided by 1 - rate."""

    name: str
    rate: float = 0.5

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_number(self.rate, "rate", most=1.0)
        if self.rate == 1:
            raise SpecError("a rate of 1 would drop everything")

    def infer(self, signal: Signal) -> Signal:
        return signal


@dataclass(frozen=True, slots=True)
class LRN(_Layer):
    """Local response normalisation over channels: x / (k + alpha * sum of `size` neighbours' squares) ** beta.

    The published formula (AlexNet, section 3.3): the sum is *not* divided by `size`. PyTorch and Caffe divide, so
    alpha = 1e-4 with size = 5 here is their alpha = 5e-4.
    """

    name: str
    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_whole(self.size, "size", least=1)
        if self.size % 2 == 0:
            raise SpecError(f"size must be odd so that a channel has as many neighbours on both sides, not {self.size}")
        _check_number(self.alpha, "alpha")
        _check_number(self.beta, "beta")
        _check_number(self.k, "k", open_ends=True)

    def infer(self, signal: Signal) -> Signal:
        _map_shape(signal)
        return signal


@dataclass(frozen=True, slots=True)
class Flatten(_Layer):
    """A map as one vector, channel-major (channel, row, column) in every backend."""

    name: str

    def __post_init__(self) -> None:
        _check_name(self.name)

    def infer(self, signal: Signal) -> Signal:
        channels, height, width = _map_shape(signal)
        return _whole_map(signal, (channels * height * width,))


@dataclass(frozen=True, slots=True)
class PadChannels(_Layer):
    """Channels of zeros before and after the map's own: the parameter-free shortcut of the CIFAR ResNets."""

    name: str
    before: int
    after: int

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_whole(self.before, "before", least=0)
        _check_whole(self.after, "after", least=0)

    def infer(self, signal: Signal) -> Signal:
        channels, height, width = _map_shape(signal)
        shape = (self.before + channels + self.after, height, width)
        return Signal(shape, signal.receptive_field, signal.step, signal.origin)


@dataclass(frozen=True, slots=True)
class Parallel(_Layer):
    """Several paths that read the same signal and are joined: channels side by side, or added. () is the identity."""

    name: str
    paths: "tuple[tuple[Layer, ...], ...]"
    join: Literal["concat", "add"]

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_choice(self.join, "join", ("concat", "add"))
        if len(self.paths) < 2:
            raise SpecError("paths that run side by side must be two or more")

    def infer(self, signal: Signal) -> Signal:
        return self.merge([_last(path, signal) for path in self.paths])

    def merge(self, ends: list[Signal]) -> Signal:
        """The signal that leaves when the paths end in `ends`: its window is the smallest that contains all theirs."""
        shapes = [end.shape for end in ends]
        if len({end.step for end in ends}) > 1:
            raise SpecError(f"the paths step by different distances: {', '.join(_window(end.step) for end in ends)}")
        if self.join == "add" and len(set(shapes)) > 1:
            raise SpecError(f"only equal shapes can be added, not {', '.join(map(_sizes, shapes))}")
        if len({shape[1:] for shape in shapes}) > 1:
            raise SpecError(f"only maps of equal size can be joined, not {', '.join(map(_sizes, shapes))}")
        channels = shapes[0][0] if self.join == "add" else sum(shape[0] for shape in shapes)
        first = tuple(min(end.origin[axis] for end in ends) for axis in (0, 1))
        last = tuple(max(end.origin[axis] + end.receptive_field[axis] for end in ends) for axis in (0, 1))
        return Signal(
            shape=(channels, *shapes[0][1:]),
            receptive_field=(last[0] - first[0], last[1] - first[1]),
            step=ends[0].step,
            origin=(first[0], first[1]),
        )


Layer: TypeAlias = (
    Conv | Pool | Linear | BatchNorm | ReLU | Tanh | Dropout | LRN | Flatten | PadChannels | Parallel
)  # closed: code that works on layers matches all of these and ends in assert_never


def conv(
    name: str,
    channels: int,
    *,
    kernel: int | Pair = 3,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    groups: int = 1,
    bias: bool = True,
) -> Conv:
    """A convolution with numbers where both directions are alike: ``conv("conv1_1", 64, kernel=3, padding=1)``.

    Raises:
        SpecError: a number is out of range, or the name is none.
    """
    vertical, horizontal = _both(padding)
    sides = ((vertical, vertical), (horizontal, horizontal))
    return Conv(name, channels, _both(kernel), stride=_both(stride), padding=sides, groups=groups, bias=bias)


def pool(
    name: str,
    pooling: Literal["max", "average"] = "max",
    *,
    kernel: int | Pair | None = 2,
    stride: int | Pair = 1,
    padding: int = 0,
    rounding: Literal["floor", "ceil"] = "floor",
) -> Pool:
    """A pool with numbers where both directions are alike: ``pool("pool1", kernel=2, stride=2)``.

    Raises:
        SpecError: a number is out of range, or the name is none.
    """
    window = None if kernel is None else _both(kernel)
    return Pool(name, pooling, window, _both(stride), ((padding, padding), (padding, padding)), rounding)


def branch(name: str, *paths: tuple[Layer, ...]) -> Parallel:
    """Paths side by side whose channels are put one after another (GoogLeNet).

    Raises:
        SpecError: fewer than two paths.
    """
    return Parallel(name, paths, "concat")


def residual(name: str, body: tuple[Layer, ...], *, shortcut: tuple[Layer, ...] = ()) -> Parallel:
    """A body and a shortcut, added (ResNet); the shortcut () is the identity.

    Raises:
        SpecError: the name is none.
    """
    return Parallel(name, (body, shortcut), "add")


@dataclass(frozen=True, slots=True)
class Block:
    """Layers that belong together, under the name that the paper gives them."""

    name: str
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not self.layers:
            raise SpecError(f"block {self.name} is empty")


@dataclass(frozen=True, slots=True)
class Network:
    """A network of blocks for images of shape `input`. Its construction is its proof: what does not fit raises.

    Raises:
        SpecError: a shape does not fit or a name is missing or given twice; says where, as ``block3/conv3_1: ...``.
    """

    name: str
    input: Shape  # (channels, height, width)
    blocks: tuple[Block, ...]
    source: str = ""  # where the network is published
    notes: tuple[str, ...] = ()  # what a reader of the published network would not expect here

    def __post_init__(self) -> None:
        if len(self.input) != 3:
            raise SpecError(f"{self.name}: the input is (channels, height, width), not {self.input}")
        for size, what in zip(self.input, ("channels", "height", "width"), strict=True):
            _check_whole(size, f"the input's {what}", least=1)
        if not self.blocks:
            raise SpecError(f"{self.name}: a network has at least one block")
        steps = walk(self)
        for what, names in (
            ("block", [block.name for block in self.blocks]),
            ("layer", [step.layer.name for step in steps]),
        ):
            twice = {name for name, count in Counter(names).items() if count > 1}
            if twice:
                raise SpecError(f"{self.name}: {what} names must differ; given twice: {', '.join(sorted(twice))}")

    @property
    def output(self) -> Signal:
        """The signal that leaves the last layer."""
        return walk(self)[-1].after

    @property
    def classes(self) -> int:
        """How many classes the last layer tells apart: the channels of the output."""
        return self.output.shape[0]


@dataclass(frozen=True, slots=True)
class Step:
    """One layer at its place in a network: the block around it, what enters and what leaves."""

    block: str
    layer: Layer
    before: Signal
    after: Signal


def walk(network: Network) -> tuple[Step, ...]:
    """The abstract run: every layer in the order of computation, with the signals before and after it.

    The layers of a `Parallel` come path by path, then the `Parallel` itself.
    """
    steps: list[Step] = []
    signal = Signal(network.input)
    for block in network.blocks:
        for step in _walk(block.layers, signal, block=block.name):
            steps.append(step)
            signal = step.after
    return tuple(steps)


def weights(network: Network) -> dict[str, Weight]:
    """Every array of the network by its canonical name, ``conv1_1.weight``, in the order of computation."""
    return {
        f"{step.layer.name}.{weight.name}": weight
        for step in walk(network)
        for weight in step.layer.weights(step.before)
    }


def _walk(layers: tuple[Layer, ...], signal: Signal, *, block: str) -> Iterator[Step]:
    for layer in layers:
        if isinstance(layer, Parallel):
            for path in layer.paths:
                yield from _walk(path, signal, block=block)
        try:
            after = layer.infer(signal)
        except SpecError as error:
            raise SpecError(f"{block}/{layer.name}: {error.message}", hint=error.hint) from None
        yield Step(block, layer, signal, after)
        signal = after


def _last(layers: tuple[Layer, ...], signal: Signal) -> Signal:
    for layer in layers:
        signal = layer.infer(signal)
    return signal


def _slide(layer: Conv | Pool, signal: Signal, *, channels: int) -> Signal:
    """Move a window over a map: (size + padding - kernel) / stride + 1 positions in each direction."""
    kernel = layer.kernel or (1, 1)
    dilation = layer.dilation if isinstance(layer, Conv) else (1, 1)
    ceil = isinstance(layer, Pool) and layer.rounding == "ceil"
    sizes: list[int] = []
    for axis in (0, 1):
        size, (before, after) = signal.shape[1 + axis], layer.padding[axis]
        reach = (kernel[axis] - 1) * dilation[axis] + 1
        room = size + before + after - reach
        if room < 0:
            padded = f" with padding {_window((before, after))}" if before or after else ""
            raise SpecError(f"a window of {_window(kernel)} does not fit {_sizes(signal.shape[1:])}{padded}")
        stride = layer.stride[axis]
        count = (-(-room // stride) if ceil else room // stride) + 1
        if ceil and (count - 1) * stride >= size + before:
            count -= 1  # the last window would begin beyond the map
        sizes.append(count)
    field, step, origin = signal.receptive_field, signal.step, signal.origin
    return Signal(
        shape=(channels, *sizes),
        receptive_field=_pair(field[axis] + (kernel[axis] - 1) * dilation[axis] * step[axis] for axis in (0, 1)),
        step=_pair(step[axis] * layer.stride[axis] for axis in (0, 1)),
        origin=_pair(origin[axis] - layer.padding[axis][0] * step[axis] for axis in (0, 1)),
    )


def _whole_map(signal: Signal, shape: Shape) -> Signal:
    """A signal that sees what all positions of a map see together; the step stays, as in the dense form."""
    size, step = signal.shape[1:], signal.step
    field = _pair(signal.receptive_field[axis] + (size[axis] - 1) * step[axis] for axis in (0, 1))
    return Signal(shape, field, step, signal.origin)


def _map_shape(signal: Signal) -> tuple[int, int, int]:
    if len(signal.shape) != 3:
        raise SpecError(f"this layer reads a map (channels, height, width), not {_sizes(signal.shape)} flat numbers")
    return signal.shape[0], signal.shape[1], signal.shape[2]


def _both(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else value


def _pair(values: Iterable[int]) -> Pair:
    vertical, horizontal = values
    return vertical, horizontal


def _sizes(sizes: Shape) -> str:
    return "x".join(map(str, sizes))


def _window(size: Pair) -> str:
    return str(size[0]) if size[0] == size[1] else _sizes(size)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.isidentifier():
        raise SpecError(f"a name is letters, digits and underscores and begins with no digit, not {name!r}")


def _check_whole(value: object, what: str, *, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SpecError(f"{what} must be a whole number of at least {least}, not {value!r}")
    if value > LARGEST:
        raise SpecError(f"{what} must be at most {LARGEST}")


def _check_pair(value: object, what: str, *, least: int) -> None:
    for number in _two(value, what):
        _check_whole(number, what, least=least)


def _check_padding(value: object) -> None:
    for sides in _two(value, "padding"):
        _check_pair(sides, "padding", least=0)


def _two(value: object, what: str) -> tuple[object, object]:
    if not isinstance(value, tuple) or len(cast("tuple[object, ...]", value)) != 2:
        raise SpecError(f"{what} must be a pair (vertical, horizontal), not {value!r}")
    return cast("tuple[object, object]", value)


def _check_flag(value: object, what: str) -> None:
    if not isinstance(value, bool):
        raise SpecError(f"{what} must be true or false, not {value!r}")


def _check_choice(value: object, what: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SpecError(f"{what} must be {' or '.join(choices)}, not {value!r}")


def _check_number(
    value: object, what: str, *, least: float = 0.0, most: float = math.inf, open_ends: bool = False
) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        inside = least < value < most if open_ends else least <= value <= most
        if inside and value <= sys.float_info.max:
            return
    raise SpecError(f"{what} must be a number {_interval(least, most, open_ends=open_ends)}, not {value!r}")


def _interval(least: float, most: float, *, open_ends: bool) -> str:
    if most == math.inf:
        return f"above {least:g}" if open_ends else f"of at least {least:g}"
    return f"between {least:g} and {most:g}" + (", both excluded" if open_ends else "")
