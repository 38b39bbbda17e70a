"""A network lowered to steps over buffers: what each kernel reads and writes, and where it lies.

A plan is for images of one size and some outputs. It says nothing of their number: offsets are floats for one image,
and n images take n times as much.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

from verydeep.engine.fuse import Fused, fuse, is_product
from verydeep.engine.memory import Life, lay_out
from verydeep.engine.place import MapShape, Places, View, as_map, parts, place
from verydeep.engine.values import IMAGES, Computed, values
from verydeep.spec import (
    LRN,
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    Network,
    PadChannels,
    Parallel,
    Pool,
    ReLU,
    Shape,
    Signal,
    Tanh,
)

Method: TypeAlias = Callable[[Conv, MapShape, MapShape], int]  # of a convolution from x to y: 0 is the direct one
Kernel: TypeAlias = Literal["convolution", "product", "pool", "affine", "add", "tanh", "lrn", "planes", "copy", "zeros"]


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a kernel."""

    kernel: Kernel
    layers: tuple[Computed, ...]  # that it computes, or computes a part of; the first has the weights
    reads: tuple[View, ...]  # one, but for "add", which reads two, and "zeros"
    writes: View
    added: View | None = None  # what a convolution adds
    norm: BatchNorm | None = None  # folded into the weights
    pool: Pool | None = None  # behind a convolution
    relu: bool = False
    method: int = 0  # of a convolution

    @property
    def views(self) -> tuple[View, ...]:
        """All that is read and written."""
        return (*self.reads, *((self.added,) if self.added is not None else ()), self.writes)


@dataclass(frozen=True, slots=True)
class Output:
    """What a layer gives, when all steps are done: a whole buffer, whose memory the caller provides."""

    buffer: int
    shape: Shape  # of one image


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps; buffer 0 holds the images, and buffers of outputs have no offset."""

    images: MapShape
    steps: tuple[Step, ...]
    sizes: tuple[int, ...]  # of the buffers, in floats for one image
    offsets: tuple[int | None, ...]
    size: int  # of the memory for all buffers but the outputs, in floats for one image
    outputs: Mapping[str, Output]  # by layer


def lower(network: Network, taps: Iterable[str], *, method: Method) -> Plan:
    """The plan for images of the network's own size that gives the outputs of the layers `taps` and computes no more.

    `method` is asked once for each convolution, and again where a pool could be fused.
    """
    found = values(network, taps)

    def pools(layer: Conv, x: Shape, y: Shape) -> bool:
        return method(layer, as_map(x), as_map(y)) > 0

    fused = fuse(found, pools=pools)
    places = place(found, fused)
    shapes = {IMAGES: found.images} | {step.name: step.shape for step in fused}
    steps = [step for one in fused for step in _steps(one, places, shapes, method)]
    if IMAGES in found.taps.values():  # the network begins with what computes nothing
        images = places.views[IMAGES]
        copy = places.new(images.shape)
        places.outputs[IMAGES] = copy.buffer
        steps.append(Step("copy", (), (images,), copy))
    return _laid_out(
        as_map(found.images),
        tuple(steps),
        places,
        outputs={tap: Output(places.outputs[name], shapes[name]) for tap, name in found.taps.items()},
    )


def _laid_out(images: MapShape, steps: tuple[Step, ...], places: Places, *, outputs: Mapping[str, Output]) -> Plan:
    """The plan with an offset for each buffer that is not the caller's."""
    theirs = {output.buffer for output in outputs.values()}
    inside = [number for number in range(len(places.sizes)) if number not in theirs]
    layout = lay_out([_life(number, places.sizes[number], steps) for number in inside])
    offsets = dict(zip(inside, layout.offsets, strict=True))
    return Plan(
        images=images,
        steps=steps,
        sizes=tuple(places.sizes),
        offsets=tuple(offsets.get(number) for number in range(len(places.sizes))),
        size=layout.size,
        outputs=outputs,
    )


def _life(buffer: int, size: int, steps: tuple[Step, ...]) -> Life:
    """From the first step that touches a buffer to the last; the images are there before the first step."""
    touched = [number for number, step in enumerate(steps) if any(view.buffer == buffer for view in step.views)]
    return Life(size, 0 if buffer == 0 else min(touched, default=0), max(touched, default=0))


def _steps(fused: Fused, places: Places, shapes: Mapping[str, Shape], method: Method) -> Iterator[Step]:
    """The calls that compute what is fused."""
    first, x, y = fused.layers[0], places.views[fused.reads[0]], places.views[fused.name]
    match first:
        case Conv():
            if is_product(first, shapes[fused.reads[0]]):
                yield from _product(fused, x, y, places)
            else:
                yield _convolution(fused, first, places, method)
        case Linear():
            yield from _product(fused, x, y, places)
        case Pool():
            yield Step("pool", fused.layers, (x,), y)
        case BatchNorm():
            yield Step("affine", fused.layers, (x,), y, norm=first, relu=fused.has_relu)
        case ReLU():
            yield Step("affine", fused.layers, (x,), y, relu=True)
        case Tanh():
            yield Step("tanh", fused.layers, (x,), y)
        case LRN():
            yield Step("lrn", fused.layers, (x,), y)
        case Flatten():
            if x.buffer != y.buffer:
                yield Step("planes", fused.layers, (x,), y)
        case PadChannels():
            for view in (y.part(0, first.before), y.part(first.before + x.shape[0], first.after)):
                if view.shape[0]:
                    yield Step("zeros", fused.layers, (), view)
            yield from _copies(fused, places, shapes)
        case Parallel():
            yield from _copies(fused, places, shapes) if first.join == "concat" else _sums(fused, places)
        case _:
            assert_never(first)


def _convolution(fused: Fused, layer: Conv, places: Places, method: Method) -> Step:
    x = places.views[fused.reads[0]]
    return Step(
        "convolution",
        fused.layers,
        (x,),
        places.views[fused.name],
        added=None if fused.added is None else places.views[fused.added],
        norm=fused.norm,
        pool=fused.pool,
        relu=fused.has_relu,
        method=method(layer, x.shape, as_map(layer.infer(Signal(x.shape)).shape)),
    )


def _product(fused: Fused, x: View, y: View, places: Places) -> Iterator[Step]:
    """A linear layer, or a convolution that is one; what it reads is made flat first."""
    channels, height, width = x.shape
    if not (x.is_whole and height == width == 1):
        flat = places.new((channels * height * width, 1, 1))
        yield Step("planes", fused.layers, (x,), flat)
        x = flat
    yield Step("product", fused.layers, (x,), y, norm=fused.norm, relu=fused.has_relu)


def _copies(fused: Fused, places: Places, shapes: Mapping[str, Shape]) -> Iterator[Step]:
    """The parts of a wider map that could not be written where they belong."""
    wide = places.views[fused.name]
    for read, channel in parts(fused, shapes):
        part = wide.part(channel, shapes[read][0])
        if places.views[read] != part:
            yield Step("copy", fused.layers, (places.views[read],), part)


def _sums(fused: Fused, places: Places) -> Iterator[Step]:
    """The first two ends of the paths added, then each other one to the sum."""
    y = places.views[fused.name]
    total, *others = (places.views[read] for read in fused.reads)
    for number, other in enumerate(others, start=1):
        yield Step("add", fused.layers, (total, other), y, relu=fused.has_relu and number == len(others))
        total = y
