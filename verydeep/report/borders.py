"""What a window leaves unread at the far border, or reads beyond it: the remainder of (W - F + 2P) / S.

W is the size of the map, F that of the window, P the padding of a side, S the stride (the CS231n notes' letters).
"""

from dataclasses import dataclass

from verydeep.report.words import length, length_text, sizes
from verydeep.spec import Conv, Network, Pool, Step, walk


@dataclass(frozen=True, slots=True)
class _Edge:
    """The far border of one direction, in rows (or columns) of the map."""

    unread: int  # real ones that no window reads
    padding: int  # unread ones that are only padding
    beyond: int  # how far the last window reaches past the padded map
    gap: int  # unread ones between two windows
    formula: str


def borders(network: Network) -> tuple[str, ...]:
    """A sentence for each layer whose windows do not cover their map exactly; none where every stride divides."""
    lines: list[str] = []
    padding_only: list[str] = []
    for step in walk(network):
        layer = step.layer
        if not isinstance(layer, Conv | Pool) or layer.kernel is None:
            continue
        down, across = (_edge(step, layer, axis) for axis in (0, 1))
        size = sizes(step.before.shape[1:])
        if down.gap or across.gap:
            stride, window = length_text(length(layer.stride)), sizes(layer.kernel)
            lines.append(
                f"{layer.name}: the stride {stride} passes over positions of {size} that no {window} window reads"
            )
        if down.unread or across.unread:
            formula = down.formula if down.unread else across.formula
            what = _lines(down.unread, across.unread, one="")
            verb = "is" if down.unread + across.unread == 1 else "are"
            lines.append(f"{layer.name}: the last {what} of {size} {verb} not read; {formula} is not whole")
        elif down.padding or across.padding:
            padding_only.append(layer.name)
        if down.beyond or across.beyond:
            formula = down.formula if down.beyond else across.formula
            what = _lines(down.beyond, across.beyond, one="1 ")
            lines.append(f"{layer.name}: the last window reaches {what} beyond {size}; {formula} is rounded up")
    if padding_only:
        lines.append(f"the stride leaves only padding unread, at the far border: {', '.join(padding_only)}")
    return tuple(lines)


def _edge(step: Step, layer: Conv | Pool, axis: int) -> _Edge:
    kernel = layer.kernel or (1, 1)
    dilation = layer.dilation if isinstance(layer, Conv) else (1, 1)
    reach = (kernel[axis] - 1) * dilation[axis] + 1
    size, count, stride = step.before.shape[1 + axis], step.after.shape[1 + axis], layer.stride[axis]
    before, after = layer.padding[axis]
    rest = before + size + after - (count - 1) * stride - reach
    padding = f" + {before + after}" if before + after else ""
    gap = max(0, stride - reach) if count > 1 else 0
    unread = max(0, rest - after)
    if unread <= gap:
        unread = 0  # the gap that every window has
    return _Edge(
        unread=unread,
        padding=min(max(0, rest), after) if rest > gap else 0,
        beyond=max(0, -rest),
        gap=gap,
        formula=f"({size} - {reach}{padding}) / {stride}",
    )


def _lines(rows: int, columns: int, *, one: str) -> str:
    """``3 rows and 1 column``; `one` is how a single one's number is written."""
    counts = ((rows, "row"), (columns, "column"))
    return " and ".join(f"{one}{noun}" if count == 1 else f"{count} {noun}s" for count, noun in counts if count)
