"""The figures of a run as SVG text: its curves and its confusion matrix; equal runs give equal bytes.

Curves differ in their line as well as in their colour.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from verydeep.evaluation.metrics import Evaluation
from verydeep.record.drawing import BLUE, GREEN, GRID, VERMILION, drawing, svg_text

TRAINING, VALIDATION, RATE = BLUE, VERMILION, GREEN
ON_LIGHT, ON_DARK = "#08306b", "#fffffe"  # counts in cells; not INK and PAPER, because cells keep their colours
MOST_COUNTED = 20  # classes; with more, the numbers in the cells would be too small to read
MOST_NAMED = 60  # classes; with more, their names would overlap
LONGEST_NAME = 18  # characters


def curves(history: Sequence[Mapping[str, Any]]) -> str:
    """Loss, accuracy and learning rate over the epochs; `history` holds the records of metrics.jsonl."""
    with drawing():
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
        return svg_text(figure)


def confusion(evaluation: Evaluation) -> str:
    """The confusion matrix: a row for each true class, coloured by the share of the row, with counts if they fit."""
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(max(3.2, 0.48 * len(counts)), 8.5)
    with drawing():
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
        return svg_text(figure)


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
