"""The report of a run: one HTML file that needs no network, no script and no other file."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from verydeep.durable import write_atomic
from verydeep.evaluation.metrics import Evaluation, interval, most_confused
from verydeep.record import figures
from verydeep.record.gallery import Mistake, data_uri
from verydeep.record.words import (
    amount,
    commands,
    data_name,
    duration,
    folder_name,
    machine,
    percent,
    preprocessing_words,
    setting,
    settings,
)
from verydeep.report.borders import borders
from verydeep.report.draw import draw
from verydeep.report.table import Row, summary, table
from verydeep.report.words import layer_text, length_text, plural, sizes
from verydeep.run import Run
from verydeep.run_files import CONFUSION, CURVES, REPORT
from verydeep.spec import Network, walk

PAIRS = 10  # most-confused pairs that are listed
MOST_LISTED = 40  # classes; with more, their table is folded
SOFTENED = 48  # pixels; smaller images are enlarged in hard squares


def write_report(run: Run, *, evaluation: Evaluation, mistakes: Sequence[Mistake], split_name: str) -> Path:
    """Write report.html, curves.svg and confusion.svg into the run's folder, each whole or not at all."""
    write_atomic(run.path / CURVES, figures.curves(run.history).encode())
    write_atomic(run.path / CONFUSION, figures.confusion(evaluation).encode())
    page = render(run, evaluation=evaluation, mistakes=mistakes, split_name=split_name)
    write_atomic(run.path / REPORT, page.encode(errors="backslashreplace"))
    return run.path / REPORT


def render(run: Run, *, evaluation: Evaluation, mistakes: Sequence[Mistake], split_name: str) -> str:
    """The report as the text of an HTML page.

    Args:
        run: A finished run.
        evaluation: Of the final weights on images that training did not see.
        mistakes: What `gallery.worst` gave for them.
        split_name: What these images are, "test" or "validation".
    """
    costs = summary(run.network)
    low, high = interval(evaluation.top1, count=evaluation.count)
    wrong = evaluation.count - sum(row[i] for i, row in enumerate(evaluation.confusion))
    return _template().render(
        run=run,
        folder=folder_name(run),
        data=data_name(run.config),
        evaluation=evaluation,
        split=split_name,
        interval=f"{percent(low)} to {percent(high)}",
        wrong=wrong,
        costs=costs,
        seconds=float(run.result["seconds"]),
        curves=_picture(figures.curves(run.history)),
        curves_words=_curves_words(run.history),
        confusion=_picture(figures.confusion(evaluation)),
        pairs=most_confused(evaluation, PAIRS),
        mistakes=[_Shown(one, data_uri(one.image), max(one.image.shape[:2]) < SOFTENED) for one in mistakes],
        is_folded=len(evaluation.per_class) > MOST_LISTED,
        drawing=_picture(draw(run.network)),
        layers=_layers(run.network),
        notes=(*run.network.notes, *borders(run.network)),
        preprocessing=preprocessing_words(run.preprocessing),
        settings=settings(run.config),
        machine=machine(run),
        commands=commands(run),
    )


@dataclass(frozen=True, slots=True)
class _Shown:
    """A mistake as the page shows it."""

    mistake: Mistake
    source: str  # the image as a data: address
    is_small: bool


@dataclass(frozen=True, slots=True)
class _Layer:
    """A line of the table of layers; the block's name stands at its first layer only."""

    block: str
    text: str
    row: Row


def _layers(network: Network) -> list[_Layer]:
    rows = table(network)
    blocks = ["", *(row.block for row in rows)]
    return [
        _Layer("" if row.block == before else row.block, layer_text(step.layer), row)
        for row, step, before in zip(rows, walk(network), blocks, strict=False)
    ]


def _curves_words(history: Sequence[Mapping[str, Any]]) -> str:
    """What the curves show, for those who cannot see them."""
    if not history:
        return "Curves of loss, accuracy and learning rate; no epoch was finished."
    first, last = history[0], history[-1]
    text = (
        f"Curves over {plural(len(history), 'epoch')}: the training loss goes from {first['train_loss']:.3f} to "
        f"{last['train_loss']:.3f}, the training accuracy from {percent(first['train_top1'])} to "
        f"{percent(last['train_top1'])}"
    )
    if last["val_top1"] is None:
        return f"{text}."
    return f"{text}; the validation accuracy from {percent(first['val_top1'])} to {percent(last['val_top1'])}."


def _template() -> Template:
    jinja = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {
        "amount": amount,
        "duration": duration,
        "pixels": length_text,
        "percent": percent,
        "plural": plural,
        "setting": setting,
        "sizes": sizes,
    }
    return jinja.get_template("page.html")


def _picture(svg: str) -> str:
    """An SVG as a data: address: shown as an image, its styles and names cannot touch the page's."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode(errors='backslashreplace')).decode()}"
