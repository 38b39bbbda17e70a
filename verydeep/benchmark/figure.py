"""What an image costs, drawn: against its pixels where there are several sizes, else side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from verydeep.benchmark.bench import Bench
from verydeep.benchmark.rows import Row
from verydeep.record.drawing import BLUE, GREEN, INK, PURPLE, VERMILION, drawing, svg_text
from verydeep.report.words import plural

COLOURS = (BLUE, VERMILION, GREEN, PURPLE, INK)
LINES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
OTHER, OURS = INK, BLUE  # bars
PANEL = (6.4, 4.2)  # inches


def cost(bench: Bench) -> str:
    """SVG: a panel for each batch, milliseconds an image against pixels or, of a single size, a bar for each engine."""
    timed = [row for row in bench.rows if row.image_ms is not None]
    batches = sorted({row.batch for row in timed}) or [1]
    is_sweep = len({(row.height, row.width) for row in timed}) > 1
    names = list(dict.fromkeys(map(_name, timed)))
    with drawing():
        figure = Figure(figsize=(PANEL[0] * len(batches), PANEL[1]), layout="constrained")
        for number, batch in enumerate(batches, start=1):
            axes = figure.add_subplot(1, len(batches), number)
            axes.set_title(f"{bench.network.name}, batch {batch}, {plural(bench.around.threads, 'thread')}")
            own = [row for row in timed if row.batch == batch]
            if is_sweep:
                _curves(axes, own, names=names)
            else:
                _draw_bars(axes, {_name(row): row.image_ms or 0.0 for row in own}, label="ms an image, median")
        if is_sweep:
            handles, labels = figure.axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside right upper", fontsize=8)
        return svg_text(figure)


def bars(title: str, values: Mapping[str, float], *, label: str) -> str:
    """SVG: a bar for each name, what it measures written below."""
    with drawing():
        figure = Figure(figsize=(PANEL[0], max(PANEL[1], 0.32 * len(values))), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title)
        _draw_bars(axes, values, label=label)
        return svg_text(figure)


def _curves(axes: Axes, rows: Sequence[Row], *, names: Sequence[str]) -> None:
    """A line for each engine; both axes logarithmic, so that a cost in proportion to the pixels has slope 1."""
    for number, name in enumerate(names):
        own = sorted((row.height * row.width, row.image_ms or 0.0) for row in rows if _name(row) == name)
        line, color = LINES[number // len(COLOURS) % len(LINES)], COLOURS[number % len(COLOURS)]
        pixels, times = [pair[0] for pair in own], [pair[1] for pair in own]
        axes.plot(pixels, times, label=name, color=color, linestyle=line, marker="o")
    axes.set(xlabel="pixels of an image", ylabel="ms an image, median", xscale="log", yscale="log")
    sizes = {row.height * row.width: f"{row.height}x{row.width}" for row in rows}
    axes.set_xticks(list(sizes), list(sizes.values()), rotation=30, ha="right")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def _draw_bars(axes: Axes, values: Mapping[str, float], *, label: str) -> None:
    """Bars from above to below, ours in a colour of their own."""
    colors = [OURS if "verydeep" in name else OTHER for name in values]
    drawn = axes.barh(list(values), list(values.values()), color=colors)
    axes.bar_label(drawn, fmt="{:,.1f}", padding=3)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set(xlabel=label)
    axes.margins(x=0.12)


def _name(row: Row) -> str:
    return f"{row.engine} {row.precision}"
