"""Where every value of a network lies: in a buffer of its own, or as some channels of a wider map.

A concatenation and a padding of channels cost nothing where their parts are written straight into their place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from verydeep.engine.fuse import Fused, is_product
from verydeep.engine.values import IMAGES, Values
from verydeep.spec import Conv, Flatten, Linear, PadChannels, Parallel, Shape

MapShape: TypeAlias = tuple[int, int, int]  # (channels, height, width); a vector is a map of 1x1


@dataclass(frozen=True, slots=True)
class View:
    """A map in a buffer: its first channel there, its shape, and how many channels the buffer's map has."""

    buffer: int
    channel: int
    shape: MapShape
    pixel: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing lies between its pixels."""
        return self.pixel == self.shape[0]

    def part(self, channel: int, channels: int) -> "View":
        """Some of its channels."""
        return View(self.buffer, self.channel + channel, (channels, *self.shape[1:]), self.pixel)


@dataclass(slots=True)
class Places:
    """The view of every value, and the buffers in which they are."""

    views: dict[str, View] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)  # of the buffers, in floats for one image
    outputs: dict[str, int] = field(default_factory=dict)  # value that the caller wants: its buffer

    def new(self, shape: MapShape) -> View:
        """A map in a new buffer of its own."""
        channels, height, width = shape
        self.sizes.append(channels * height * width)
        return View(len(self.sizes) - 1, 0, shape, channels)


def place(found: Values, fused: tuple[Fused, ...]) -> Places:
    """A place for every value that the fused steps read or make; buffer 0 holds the images."""
    shapes = {IMAGES: found.images} | {step.name: step.shape for step in fused}
    tapped = set(found.taps.values())
    wider = _wider_maps(fused, shapes, tapped)
    same = _same_memory(fused, shapes, wider)
    places = Places()
    places.views[IMAGES] = places.new(as_map(found.images))

    def view(name: str) -> View:
        if name not in places.views:
            if name in wider:
                wide, channel = wider[name]
                places.views[name] = view(wide).part(channel, shapes[name][0])
            else:
                places.views[name] = view(same[name]) if name in same else places.new(as_map(shapes[name]))
        return places.views[name]

    for step in fused:
        view(step.name)
    places.outputs = {name: places.views[name].buffer for name in tapped if name != IMAGES}
    return places


def parts(step: Fused, shapes: Mapping[str, Shape]) -> list[tuple[str, int]]:
    """What a concatenation or a padding of channels holds, with the first channel of each."""
    first = step.layers[0]
    if isinstance(first, PadChannels):
        return [(step.reads[0], first.before)]
    if not isinstance(first, Parallel) or first.join != "concat":
        return []
    begins = [sum(shapes[read][0] for read in step.reads[:number]) for number in range(len(step.reads))]
    return list(zip(step.reads, begins, strict=True))


def as_map(shape: Shape) -> MapShape:
    """The shape of a map, or that of the map of 1x1 which a vector is."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (shape[0], 1, 1)


def _wider_maps(fused: tuple[Fused, ...], shapes: Mapping[str, Shape], tapped: set[str]) -> dict[str, tuple[str, int]]:
    """Values that are written straight into a wider map, with this map and their first channel in it."""
    makers = {step.name: step for step in fused}
    wider: dict[str, tuple[str, int]] = {}
    for step in reversed(fused):
        for read, channel in parts(step, shapes):
            is_free = read not in wider and read not in tapped and read != IMAGES
            if is_free and _writes_parts(makers[read], shapes):
                wider[read] = (step.name, channel)
    return wider


def _writes_parts(step: Fused, shapes: Mapping[str, Shape]) -> bool:
    """Whether the kernel can leave gaps between the pixels that it writes."""
    first = step.layers[0]
    if isinstance(first, Conv):
        return not is_product(first, shapes[step.reads[0]])
    return not isinstance(first, Linear | Flatten)


def _same_memory(fused: tuple[Fused, ...], shapes: Mapping[str, Shape], wider: Mapping[str, object]) -> dict[str, str]:
    """Vectors that lie in memory as the map of 1x1 does of which `Flatten` makes them."""
    return {
        step.name: step.reads[0]
        for step in fused
        if isinstance(step.layers[0], Flatten)
        and shapes[step.reads[0]][1:] == (1, 1)
        and step.reads[0] != IMAGES
        and step.reads[0] not in wider
    }
