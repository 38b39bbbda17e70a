"""The figures of a run as SVG text: its curves and its confusion matrix; equal runs give equal bytes.

matplotlib is imported here and nowhere else. The figures carry their colours for dark screens in a style of their own,
so they are legible wherever they are shown. Colours are of Okabe and Ito's palette, which colour-blind people can tell
apart; curves also differ in their line.
"""

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from verydeep.evaluation.metrics import Evaluation

PAPER, INK, GRID = "#ffffff", "#1f2933", "#d9dee3"
TRAINING, VALIDATION, RATE = "#0072b2", "#d55e00", "#009e73"
ON_LIGHT, ON_DARK = "#08306b", "#fffffe"  # counts in cells; not INK and PAPER, because cells keep their colours
AT_NIGHT = {
    PAPER: "#171b21",
    INK: "#d6dbe1",
    GRID: "#363d46",
    TRAINING: "#56b4e9",
    VALIDATION: "#f0883e",
    RATE: "#3fc89b",
}

MOST_COUNTED = 20  # classes; with more, the numbers in the cells would be too small to read
MOST_NAMED = 60  # classes; with more, their names would overlap
LONGEST_NAME = 18  # characters
SETTINGS = {
    "svg.hashsalt": "verydeep",  # names inside the file follow from its content
    "svg.fonttype": "none",  # letters stay letters: searchable, and any alphabet
    "text.parse_math": False,  # a class may be called "$"
    "font.size": 10.0,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.0,
}


def curves(history: Sequence[Mapping[str, Any]]) -> str:
    """Loss, accuracy and learning rate over the epochs; `history` holds the records of metrics.jsonl."""
    with _drawing():
        figure = Figure(figsize=(9.6, 5.2), layout="constrained")
        grid = figure.add_gridspec(2, 2, height_ratios=(2.6, 1))
        loss, accuracy = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
        rate = figure.add_subplot(grid[1, :])
        for axes, quantity in ((loss, "loss"), (accuracy, "top1")):
            _curve(axes, history, key=f"train_{quantity}", label="training", color=TRAINING)
            _curve(axes, history, key=f"val_{quantity}", label="validation", color=VALIDATION, line=(0, (5, 2)))
        _curve(rate, history, key="lr", label="", color=RATE)
        loss.set(title="Loss", ylabel="cross-entropy in nats")
        accuracy.set(title="Accuracy", ylabel="top-1")
        accuracy.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        rate.set(title="Learning rate", ylabel="rate", ylim=(0, None))
        for axes in (loss, accuracy, rate):
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            if axes.get_legend_handles_labels()[1]:
                axes.legend()
        return _text(figure)


def confusion(evaluation: Evaluation) -> str:
    """The confusion matrix: a row for each true class, coloured by the share of the row, with counts if they fit."""
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(max(3.2, 0.48 * len(counts)), 8.5)
    with _drawing():
        figure = Figure(figsize=(side + 2.2, side + 1.2), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(visible=False)
        # The square root lets a few mistakes be seen beside a diagonal near 100 %.
        norm = PowerNorm(0.5, vmin=0, vmax=1)
        if len(counts) <= MOST_NAMED:
            cells = axes.pcolormesh(shares, cmap="Blues", norm=norm, edgecolors=GRID, linewidth=0.5)
            axes.set(xlim=(0, len(counts)), ylim=(len(counts), 0), aspect="equal")
            _name_classes(axes, [entry.name for entry in evaluation.per_class])
        else:
            cells = axes.imshow(shares, cmap="Blues", norm=norm, interpolation="none")
        if len(counts) <= MOST_COUNTED:
            for (i, j), count in np.ndenumerate(counts):
                color = ON_DARK if shares[i, j] > 0.4 else ON_LIGHT
                if count:
                    axes.text(j + 0.5, i + 0.5, f"{count}", ha="center", va="center", color=color, fontsize=9)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        bar = figure.colorbar(cells, ax=axes, shrink=0.8, label="share of the true class's images")
        bar.ax.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        bar.outline.set_visible(False)  # type: ignore[operator]
        return _text(figure)


def _curve(
    axes: Axes, history: Sequence[Mapping[str, Any]], *, key: str, label: str, color: str, line: Any = "solid"
) -> None:
    """One value over the epochs; nothing where no epoch has it, a gap where one has none or it is not finite."""
    values = [math.nan if row.get(key) is None else row[key] for row in history]
    if np.isfinite(values).any():
        marker = "o" if len(values) <= 30 else ""
        axes.plot([row["epoch"] for row in history], values, label=label, color=color, linestyle=line, marker=marker)


def _name_classes(axes: Axes, names: Sequence[str]) -> None:
    places = np.arange(len(names)) + 0.5
    short = [_short(name) for name in names]
    upright = max(map(len, short)) > 3
    size = 9 if len(names) <= MOST_COUNTED else 6
    axes.set_xticks(places, short, rotation=90 if upright else 0, fontsize=size)
    axes.set_yticks(places, short, fontsize=size)


def _short(name: str) -> str:
    """A class's name without what XML forbids or a label has no room for."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in name)
    return plain if len(plain) <= LONGEST_NAME else f"{plain[: LONGEST_NAME - 1]}…"


@contextmanager
def _drawing() -> Iterator[None]:
    """The library's defaults and our settings, whatever the user's matplotlibrc says."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        for name, value in SETTINGS.items():
            mpl.rcParams[name] = value  # type: ignore[index]
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # only the label's width is a guess
        yield


def _text(figure: Figure) -> str:
    """The figure as SVG, without date and version, with its colours for dark screens."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    rules = "".join(
        f'[style*="{what}: {day}"]{{{what}:{night}!important}}'
        for day, night in AT_NIGHT.items()
        for what in ("fill", "stroke")
    )
    style = f"<style>@media screen and (prefers-color-scheme: dark){{{rules}}}</style>"
    before, end, after = file.getvalue().rpartition("</svg>")
    return f"{before}{style}\n{end}{after}"
