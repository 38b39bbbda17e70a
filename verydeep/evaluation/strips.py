"""A large image in overlapping parts, whose score maps put together are that of the whole (arXiv:1409.1556, 3.2).

A cell of the score map depends on its receptive field alone. So a part that begins at a multiple of the step, and holds
the whole fields of some cells, has the same scores in these cells; what the network pads at a cut spoils other cells,
which other parts have whole. At the border of the image a part ends where the image ends: its padding is the true one,
and a pool that leaves a last row out leaves it out there too.
"""

from dataclasses import dataclass
from itertools import pairwise

from verydeep.report.memory import inference_bytes
from verydeep.rewrite.cut import resize
from verydeep.spec import Network, Pair


@dataclass(frozen=True, slots=True)
class Span:
    """One direction of a part: its pixels, from `first` to before `last`, and which cells of its own map are right."""

    first: int
    last: int
    skip: int  # cells at its beginning that are not right, or that another part has
    count: int  # cells after them that are


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an image."""

    rows: Span
    columns: Span


def parts(network: Network, image: Pair, *, memory: int) -> tuple[Part, ...]:
    """The parts of an image (height, width) whose maps take at most `memory` bytes, with the fewest pixels in all.

    The whole image where it fits; () where the part of a single cell does not.

    Args:
        network: The dense form; any network whose output is a map.
        image: Its size in pixels.
        memory: Bytes of the maps that are alive at once, as `verydeep.report.memory.inference_bytes` counts them.

    Raises:
        SpecError: the network does not take images of this size.
    """
    whole = _spans(network, image, counts=(1, 1))
    if bytes_at(network, _largest(whole)) <= memory:
        return _parts(whole)
    vertical, horizontal = (_tried(spans[0].count) for spans in whole)
    fitting: list[tuple[tuple[Span, ...], tuple[Span, ...]]] = []
    down = 0
    for across in reversed(horizontal):  # the fewer parts side by side, the more are needed one below another
        while down < len(vertical):
            spans = _spans(network, image, counts=(vertical[down], across))
            if bytes_at(network, _largest(spans)) <= memory:
                fitting.append(spans)
                break
            down += 1
    return _parts(min(reversed(fitting), key=_pixels)) if fitting else ()


def least_bytes(network: Network, image: Pair) -> int:
    """Bytes of the maps of the smallest part, that of a single cell.

    Raises:
        SpecError: the network does not take images of this size.
    """
    _, rows, columns = _sized(network, image).output.shape
    return bytes_at(network, _largest(_spans(network, image, counts=(rows, columns))))


def bytes_at(network: Network, image: Pair) -> int:
    """Bytes of the maps of an image of this size that are alive at once."""
    return inference_bytes(_sized(network, image))


def _spans(network: Network, image: Pair, *, counts: Pair) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The rows and the columns of parts, `counts` of them in each direction, with nearly equal numbers of cells."""
    signal = _sized(network, image).output
    found: list[tuple[Span, ...]] = []
    for axis in (0, 1):
        cells = signal.shape[1 + axis]
        borders = [number * cells // counts[axis] for number in range(counts[axis] + 1)]
        found.append(
            tuple(
                _span(
                    (first, last),
                    cells=cells,
                    pixels=image[axis],
                    step=signal.step[axis],
                    origin=signal.origin[axis],
                    field=signal.receptive_field[axis],
                )
                for first, last in pairwise(borders)
            )
        )
    return found[0], found[1]


def _span(wanted: Pair, *, cells: int, pixels: int, step: int, origin: int, field: int) -> Span:
    """The pixels that the `wanted` cells, from the first to before the last of all `cells`, are computed from."""
    begin, end = wanted
    moved = 0 if begin == 0 else max(0, (origin + begin * step) // step)  # whole steps from the border of the image
    last = pixels if end == cells else min(pixels, origin + (end - 1) * step + field)
    return Span(moved * step, last, begin - moved, end - begin)


def _tried(cells: int) -> list[int]:
    """Numbers of parts from 1 to that of the cells, each about a quarter more than the one before."""
    found = [1]
    while found[-1] < cells:
        found.append(min(cells, found[-1] + max(1, found[-1] // 4)))
    return found


def _sized(network: Network, image: Pair) -> Network:
    return resize(network, (network.input[0], *image))


def _largest(spans: tuple[tuple[Span, ...], tuple[Span, ...]]) -> Pair:
    rows, columns = (max(span.last - span.first for span in side) for side in spans)
    return rows, columns


def _pixels(spans: tuple[tuple[Span, ...], tuple[Span, ...]]) -> int:
    rows, columns = (sum(span.last - span.first for span in side) for side in spans)
    return rows * columns


def _parts(spans: tuple[tuple[Span, ...], tuple[Span, ...]]) -> tuple[Part, ...]:
    rows, columns = spans
    return tuple(Part(down, across) for down in rows for across in columns)
