"""Layers as boxes to scale: height and depth of a box are those of the map, its thickness the root of the channels."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

from verydeep.report.svg import Label, Line, Mark, Polygon, moved, text_width
from verydeep.report.table import Row
from verydeep.report.words import SPACED, TIMES, layer_text, length_text, sizes
from verydeep.spec import (
    LRN,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    PadChannels,
    Parallel,
    Pool,
    ReLU,
    Shape,
    Tanh,
)

Role: TypeAlias = Literal["input", "convolution", "pool", "fully connected", "paths joined", "zeros added"]

# Okabe and Ito's palette, which the colour-blind can tell apart; its lightness differs too, for grey print
COLOURS: Mapping[Role, str] = {
    "input": "#c9cfd4",
    "convolution": "#56b4e9",
    "pool": "#e69f00",
    "fully connected": "#009e73",
    "paths joined": "#cc79a7",
    "zeros added": "#ffffff",
}
EDGE = "#2f3b45"
TALLEST = 220.0  # height of the box with the largest map
THICKEST = 84.0  # thickness of the box with the most channels
LEAST = 4.0  # no side of a front is drawn shorter
SLANT = (0.26, 0.17)  # how far a map's far edge is shifted right and up, as parts of the map's width
CLOSE = 6.0  # between boxes of one size
APART = 14.0  # between others
LEAD = 22.0  # from where paths part to the first box, and from the last box to where they meet
SMALL = 13.0  # font size inside a block with paths


@dataclass(frozen=True, slots=True)
class Figure:
    """Marks along a horizontal axis at y = 0 that begin at x = 0; `up` and `down` are their reach around the axis."""

    marks: tuple[Mark, ...]
    width: float
    up: float
    down: float
    overhang: float = 0.0  # part of the width that only the far edge of the last box needs


@dataclass(frozen=True, slots=True)
class Scale:
    """How large one pixel of a map and the square root of one channel are drawn."""

    pixel: float
    root_channel: float


@dataclass(frozen=True, slots=True)
class Sheet:
    """What layers are drawn from: the scale, and their rows in the table by name."""

    scale: Scale
    rows: Mapping[str, Row]


def scale(shapes: Sequence[Shape]) -> Scale:
    """The scale at which the largest of these maps is `TALLEST` and the one with most channels `THICKEST`."""
    tallest = max(max(shape[1:], default=1) for shape in shapes)
    most = max(shape[0] for shape in shapes)
    return Scale(TALLEST / tallest, THICKEST / math.sqrt(most))


def role(layer: Layer) -> Role | None:
    """What a layer is drawn as; None where it keeps the numbers and their shape and is not drawn."""
    match layer:
        case Conv():
            return "convolution"
        case Pool():
            return "pool"
        case Linear():
            return "fully connected"
        case Parallel():
            return "paths joined"
        case PadChannels():
            return "zeros added"
        case BatchNorm() | ReLU() | Tanh() | Dropout() | LRN() | Flatten():
            return None
        case _:
            assert_never(layer)


def short(layer: Layer) -> str:
    """A drawn layer in a word or two, as ``3×3, 256 /2``: kernel, channels, stride."""
    match layer:
        case Conv():
            return f"{sizes(layer.kernel, TIMES)}, {layer.channels}{_stride(layer)}"
        case Pool():
            window = "of the map" if layer.kernel is None else sizes(layer.kernel, TIMES)
            return f"{'max' if layer.pooling == 'max' else 'mean'} {window}{_stride(layer)}"
        case Linear():
            return str(layer.features)
        case Parallel():
            return "+" if layer.join == "add" else "concat"
        case _:
            return ""


def box(shape: Shape, drawn_as: Role, *, at: Scale, tip: str) -> Figure:
    """A map seen from the front left: thickness = channels, height = height, depth = width; a vector is a 1x1 map."""
    channels, height, width = shape if len(shape) == 3 else (*shape, 1, 1)
    thick = max(LEAST, at.root_channel * math.sqrt(channels))
    half = max(LEAST, at.pixel * height) / 2
    right, up = (max(LEAST, at.pixel * width) * part for part in SLANT)
    colour = COLOURS[drawn_as]
    front = ((0.0, -half), (thick, -half), (thick, half), (0.0, half))
    top = ((0.0, -half), (right, -half - up), (thick + right, -half - up), (thick, -half))
    side = ((thick, -half), (thick + right, -half - up), (thick + right, half - up), (thick, half))
    marks = (
        Polygon(top, _mixed(colour, "#ffffff", 0.45), EDGE),
        Polygon(side, _mixed(colour, "#000000", 0.25), EDGE),
        Polygon(front, colour, EDGE, tip),
    )
    return Figure(marks, thick + right, up=half + up, down=half, overhang=right)


def sequence(layers: tuple[Layer, ...], sheet: Sheet, *, labelled: bool) -> Figure:
    """Boxes from left to right, those of maps of one size close together; `labelled` writes below each what it is."""
    marks: tuple[Mark, ...] = ()
    x = up = down = overhang = 0.0
    before: Shape | None = None  # height and width of the box on the left

    for layer in layers:
        drawn_as = role(layer)
        if drawn_as is None:
            continue
        if isinstance(layer, Parallel):
            figure = _paths(layer, sheet)
            x += APART if marks else 0
            marks = (*marks, *moved(figure.marks, x, 0))
            x, up, down = x + figure.width, max(up, figure.up), max(down, figure.down)
            overhang, before = 0.0, None
        row = sheet.rows[layer.name]
        figure = box(row.shape, drawn_as, at=sheet.scale, tip=_tip(layer, row))
        if labelled:
            figure = _label_below(figure, short(layer))
        if before == row.shape[1:]:
            x += CLOSE - overhang
        elif before is not None:
            x += APART
        marks = (*marks, *moved(figure.marks, x, 0))
        x, up, down = x + figure.width, max(up, figure.up), max(down, figure.down)
        overhang, before = figure.overhang, row.shape[1:]
    return Figure(marks, x, up, down, overhang)


def _paths(layer: Parallel, sheet: Sheet) -> Figure:
    """Paths one below the other, between the point where they part and the point where they meet."""
    figures = [sequence(path, sheet, labelled=True) if path else _identity() for path in layer.paths]
    inner = max(figure.width for figure in figures)
    height = sum(figure.up + figure.down for figure in figures) + APART * (len(figures) - 1)
    part, meet, end = 4.0, LEAD + inner + 10, LEAD + inner + 30
    marks: list[Mark] = [Line(((0, 0), (part, 0)))]
    top = -height / 2
    for figure in figures:
        y = top + figure.up
        left = LEAD + (inner - figure.width) / 2
        marks.append(Line(((part, 0), (part, y), (meet, y), (meet, 0))))
        marks.extend(moved(figure.marks, left, y))
        top += figure.up + figure.down + APART
    marks.append(Line(((meet, 0), (end - 3, 0)), arrow=True))
    return Figure(tuple(marks), end, up=height / 2, down=height / 2)


def _identity() -> Figure:
    text = "identity"
    width = text_width(text, size=SMALL)
    label = Label((width / 2, -5), text, SMALL, "middle")
    return Figure((label,), width, up=SMALL + 5, down=4)


def _label_below(figure: Figure, text: str) -> Figure:
    """The figure in the middle of its label's width, the label below it; what follows keeps its distance."""
    width = max(figure.width, text_width(text, size=SMALL))
    label = Label((width / 2, figure.down + SMALL + 1), text, SMALL, "middle")
    marks = (*moved(figure.marks, (width - figure.width) / 2, 0), label)
    return Figure(marks, width, figure.up, figure.down + SMALL + 5)


def _tip(layer: Layer, row: Row) -> str:
    params = f", {row.params:,} params" if row.params else ""
    return (
        f"{layer.name}: {layer_text(layer)}; {sizes(row.shape, SPACED)}{params}, "
        f"sees {length_text(row.receptive_field)} px every {length_text(row.step)} px"
    )


def _stride(layer: Conv | Pool) -> str:
    if layer.stride == (1, 1):
        return ""
    return f" /{layer.stride[0]}" if layer.stride[0] == layer.stride[1] else f" /{sizes(layer.stride, TIMES)}"


def _mixed(colour: str, other: str, share: float) -> str:
    """`colour` with a `share` of `other`, both as #rrggbb."""
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(a * (1 - share) + b * share):02x}" for a, b in pairs)


def _channels(colour: str) -> Iterable[int]:
    return (int(colour[i : i + 2], 16) for i in (1, 3, 5))
