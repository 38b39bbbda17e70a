"""A network as an SVG picture to scale: maps as boxes, block by block, with shapes, weights and receptive fields."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias

from verydeep.report.figures import COLOURS, EDGE, LEAST, Figure, Scale, Sheet, box, role, scale, sequence, short
from verydeep.report.svg import FAINT, Label, Line, Mark, document, moved, rectangle, text_width
from verydeep.report.table import Row, summary, table
from verydeep.report.words import SPACED, length_text, plural, sizes
from verydeep.spec import LRN, Block, Conv, Layer, Linear, Network, Parallel, Pool, Shape, walk

WIDTH, SLIDE = 1600.0, 900.0  # a slide; a short network's page has its width, a long one's at most about its form
MARGIN = 40.0
GAP = 30.0  # between panels, for the arrow
WIDEST_GAP = 60.0
PADDING = 14.0  # inside a panel
TEXT = 16.0  # font size below a block
LINE = 21.0  # from one line of text to the next
HEAD, BELOW, FOOT = 112.0, 22.0, 100.0  # the title, the room below a line of panels, the caption
STEP = 20  # between the widths that are tried
LINE_COST = 0.05  # how much larger a page with one line more must be on a slide
PANEL = "#f3f5f7"

_Run: TypeAlias = tuple[Block, ...]  # neighbours that are equal but for their names


def draw(network: Network) -> str:
    """The network as an SVG document.

    Height and depth of a box are proportional to the height and width of the map, its thickness to the square root
    of the channels; the caption says so. ReLU and other layers that keep the shape are not drawn. Neighbouring blocks
    that are equal are drawn once, with their number. A long network wraps.
    """
    rows = {row.name: row for row in table(network)}
    drawn = (step.after.shape for step in walk(network) if role(step.layer))
    sheet = Sheet(scale([network.input, *drawn]), rows)
    panels = [_input_panel(network.input, sheet), *(_block_panel(run, sheet) for run in _runs(network.blocks, rows))]
    lines = _wrapped(panels)
    width, height = _page(lines)
    title = _title(network, width)
    marks: list[Mark] = [*title]
    top = HEAD
    for number, line in enumerate(lines):
        marks.extend(moved(_placed(line, width, begins=number == 0, ends=number == len(lines) - 1), 0, top))
        top += _height(line) + BELOW
    marks.extend(moved(_caption(network, sheet.scale), MARGIN, top + 12))
    description = ". ".join(label.text for label in title)
    return document(marks, width=width, height=height, title=network.name, description=description)


def _title(network: Network, width: float) -> tuple[Label, ...]:
    totals = summary(network)
    facts = (
        plural(totals.depth, "weight layer"),
        f"{totals.params:,} parameters",
        f"{totals.macs:,} MACs",
        f"{sizes(network.output.shape, SPACED)} out",
    )
    return (
        Label((MARGIN, 54), network.name, size=34, bold=True),
        Label((width - MARGIN, 54), network.source, size=TEXT, anchor="end", fill=FAINT),
        Label((MARGIN, 88), "  ·  ".join(facts), size=18),
    )


@dataclass(frozen=True, slots=True)
class _Panel:
    """A block, or a run of equal blocks, ready to be placed: its figure and the lines of text below it."""

    figure: Figure
    lines: tuple[Label, ...]
    width: float


def _framed(figure: Figure, heading: str, facts: Iterable[str]) -> _Panel:
    lines = (Label((0, 0), heading, TEXT, bold=True), *(Label((0, 0), fact, TEXT) for fact in facts))
    widths = (text_width(line.text, size=line.size, bold=line.bold) for line in lines)
    return _Panel(figure, lines, max(figure.width, *widths) + 2 * PADDING)


def _input_panel(shape: Shape, sheet: Sheet) -> _Panel:
    size = sizes(shape, SPACED)
    figure = box(shape, "input", at=sheet.scale, tip=f"input: {size}")
    return _framed(figure, "input", [size])


def _block_panel(run: _Run, sheet: Sheet) -> _Panel:
    first, last = run[0], run[-1]
    params = sum(sheet.rows[name].params for name in _names(first.layers))
    end = sheet.rows[last.layers[-1].name]
    times = f"{len(run)}{SPACED}" if len(run) > 1 else ""
    facts = (
        *_contents(first.layers),
        f"→ {sizes(end.shape, SPACED)}",
        f"{times}{params:,} params" if params else "no params",
        f"sees {length_text(end.receptive_field)} px",
    )
    heading = first.name if len(run) == 1 else f"{times}{first.name} … {last.name}"
    return _framed(sequence(first.layers, sheet, labelled=False), heading, facts)


def _contents(layers: tuple[Layer, ...]) -> Iterator[str]:
    """The layers of a block that its boxes do not name themselves, equal neighbours counted: ``3 × conv 3×3, 256``."""
    for text, same in groupby(text for text in map(_text, layers) if text):
        count = len(list(same))
        yield text if count == 1 else f"{count}{SPACED}{text}"


def _text(layer: Layer) -> str:
    if isinstance(layer, Conv):
        return f"conv {short(layer)}"
    if isinstance(layer, Linear):
        return f"fc {short(layer)}"
    if isinstance(layer, Pool) and layer.kernel:
        return short(layer).replace(" ", "-pool ", 1)
    if isinstance(layer, LRN):
        return "LRN"
    return "" if isinstance(layer, Parallel) else short(layer)


def _runs(blocks: Sequence[Block], rows: Mapping[str, Row]) -> Iterator[_Run]:
    """The blocks, those in one run that differ from their neighbours in names only."""

    def outline(block: Block) -> object:
        sized = [(rows[name].shape, rows[name].params) for name in _names(block.layers)]
        return tuple(map(_nameless, block.layers)), sized

    for _, run in groupby(blocks, key=outline):
        yield tuple(run)


def _nameless(layer: Layer) -> Layer:
    if isinstance(layer, Parallel):
        paths = tuple(tuple(map(_nameless, path)) for path in layer.paths)
        return replace(layer, name="any", paths=paths)
    return replace(layer, name="any")


def _names(layers: tuple[Layer, ...]) -> Iterator[str]:
    for layer in layers:
        if isinstance(layer, Parallel):
            for path in layer.paths:
                yield from _names(path)
        yield layer.name


def _wrapped(panels: Sequence[_Panel]) -> list[list[_Panel]]:
    """The panels in lines such that the page is large on a slide, a line more being worth it, and the lines even."""

    def merit(lines: list[list[_Panel]]) -> tuple[float, float]:
        width, height = _page(lines)
        return min(WIDTH / width, SLIDE / height, 1.0) - LINE_COST * len(lines), -max(map(_width, lines))

    narrowest, widest = max(panel.width for panel in panels), _width(panels)
    rooms = (*range(int(narrowest), int(widest), STEP), widest)
    return max((_filled(panels, room) for room in rooms), key=merit)


def _filled(panels: Sequence[_Panel], room: float) -> list[list[_Panel]]:
    lines: list[list[_Panel]] = [[]]
    for panel in panels:
        if lines[-1] and _width([*lines[-1], panel]) > room:
            lines.append([])
        lines[-1].append(panel)
    return lines


def _page(lines: Sequence[Sequence[_Panel]]) -> tuple[float, float]:
    width = max(WIDTH, *(_width(line) + 2 * MARGIN for line in lines))
    return width, HEAD + sum(_height(line) + BELOW for line in lines) + FOOT


def _width(panels: Sequence[_Panel]) -> float:
    return sum(panel.width for panel in panels) + GAP * (len(panels) - 1)


def _height(panels: Sequence[_Panel]) -> float:
    figures = max(panel.figure.up for panel in panels) + max(panel.figure.down for panel in panels)
    return figures + LINE * max(len(panel.lines) for panel in panels) + 3 * PADDING


def _placed(panels: Sequence[_Panel], width: float, *, begins: bool, ends: bool) -> Iterator[Mark]:
    """One line of panels, centred, on one axis and with arrows between them and to the lines before and after."""
    axis = PADDING + max(panel.figure.up for panel in panels)
    text = axis + max(panel.figure.down for panel in panels) + 2 * PADDING + 4
    spare = (width - 2 * MARGIN - _width(panels)) / max(1, len(panels) - 1)
    gap = min(WIDEST_GAP, GAP + spare)
    x = (width - _width(panels) - (gap - GAP) * (len(panels) - 1)) / 2
    for number, panel in enumerate(panels):
        if number or not begins:
            yield Line(((x - (gap if number else GAP) + 4, axis), (x - 4, axis)), arrow=True)
        yield rectangle(x, 0, panel.width, _height(panels), fill=PANEL)
        yield from moved(panel.figure.marks, x + (panel.width - panel.figure.width) / 2, axis)
        for index, label in enumerate(panel.lines):
            yield from moved((label,), x + PADDING, text + LINE * index)
        x += panel.width + gap
    if not ends:
        yield Line(((x - gap + 4, axis), (x - gap + GAP - 4, axis)), arrow=True)


def _caption(network: Network, at: Scale) -> tuple[Mark, ...]:
    """What the colours mean and to what scale the boxes are."""
    kinds = {role(step.layer) for step in walk(network)}
    marks: list[Mark] = []
    x = 0.0
    for name, colour in COLOURS.items():
        if name != "input" and name not in kinds:
            continue
        marks.append(rectangle(x, 0, 22, 16, fill=colour, stroke=EDGE))
        marks.append(Label((x + 30, 14), name, TEXT))
        x += 30 + text_width(name, size=TEXT) + 28
    hidden = dict.fromkeys(type(step.layer).__name__ for step in walk(network) if role(step.layer) is None)
    left_out = f" Not drawn, as they keep the shape: {', '.join(hidden)}." if hidden else ""
    drawn = (
        f"Height and depth of a box: height and width of the map, {at.pixel:.2g} units a pixel "
        f"(no side below {LEAST:g}). Thickness: square root of the channels, {at.root_channel:.2g} units each."
    )
    written = "/2: stride. sees: receptive field of the block's last layer, in pixels of the input."
    marks.append(Label((0, 44), drawn, TEXT - 1, fill=FAINT))
    marks.append(Label((0, 44 + LINE), f"{written}{left_out}", TEXT - 1, fill=FAINT))
    return tuple(marks)
