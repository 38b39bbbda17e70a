"""What is printed and kept of a reproduction, in four formats, and the conditions under which it arose."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from verydeep.benchmark.sections import NONE, Section, to_markdown, to_text
from verydeep.data.catalog import DATASETS
from verydeep.record.environment import environment
from verydeep.report.words import plural
from verydeep.reproduce import pass_task
from verydeep.reproduce.declared import Experiment
from verydeep.reproduce.outcome import centre, spread
from verydeep.reproduce.request import Request

Format = Literal["text", "json", "markdown", "html"]

EVALUATIONS = {"center": "centre crop", "dense": "dense", "multi-crop": "multi-crop", "both": "multi-crop & dense"}


@dataclass(frozen=True, slots=True)
class Document:
    """What is printed and kept of a reproduction."""

    title: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...]  # conditions: what must be known to believe it, and to repeat it
    record: dict[str, Any]  # the same as JSON values: fractions, not percent


def write(document: Document, format: Format) -> str:
    """The document as a text that ends in a line break."""
    match format:
        case "text":
            return f"{document.title}\n\n{to_text(document.sections, document.notes)}\n"
        case "markdown":
            return f"# {document.title}\n\n{to_markdown(document.sections, document.notes)}\n"
        case "json":
            return json.dumps(document.record, indent=2) + "\n"
        case "html":
            jinja = Environment(
                loader=FileSystemLoader(Path(__file__).parent),
                autoescape=True,
                undefined=StrictUndefined,
                trim_blocks=True,
                lstrip_blocks=True,
            )
            return jinja.get_template("document.html").render(document=document)


def described(tested: Experiment, request: Request) -> tuple[str, str, str, str]:
    """Network, S, Q and evaluation as a table's cells."""
    scale = request.scale
    sides = dict.fromkeys(", ".join(map(str, scale.test_sides(one, tested.sides))) for one in tested.trained)
    learned = [scale.written(one.side) for one in tested.trained]
    return (
        " + ".join(one.net for one in tested.trained),
        "; ".join(learned if len(set(learned)) > 1 else learned[:1]),
        "; ".join(sides),
        EVALUATIONS[tested.kind],
    )


def published_text(value: float | None) -> str:
    """The paper's figure in percent, or a dash."""
    return NONE if value is None else f"{value:.1f}"


def mean_text(values: Sequence[float] | None) -> str:
    """``30.12 \N{PLUS-MINUS SIGN} 0.41``: mean and standard deviation over seeds."""
    if values is None:
        return NONE
    return deviation_text(values)


def deviation_text(values: Sequence[float], *, digits: int = 2) -> str:
    """Mean and standard deviation; of a single value the value."""
    deviation = f" \N{PLUS-MINUS SIGN} {spread(values):.{digits}f}" if len(values) > 1 else ""
    return f"{centre(values):.{digits}f}{deviation}"


def summary(name: str, values: Sequence[float]) -> dict[str, Any]:
    """`values`, in percent, as fractions under names that begin with `name`."""
    prefix, deviation = f"{name}_" if name else "", spread(values)
    return {
        f"{prefix}error": [fraction(value) for value in values],
        f"{prefix}error_mean": fraction(centre(values)),
        f"{prefix}error_std": None if math.isnan(deviation) else fraction(deviation),
    }


def fraction(percent: float | None) -> float | None:
    """Percent as a fraction, to a millionth: the tables' figures come back, and no rounding noise stands in files."""
    return None if percent is None else round(percent / 100, 6)


def circumstances(request: Request, *, command: str) -> dict[str, Any]:
    """What was asked for, and the machine, as JSON values."""
    scale = request.scale
    return {
        "scale": scale.name,
        "divisor": scale.divisor,
        "data": Path(scale.data).name,
        "seeds": request.seeds,
        "test_images": scale.test_images,
        "crop_images": scale.crop_images,
        "command": command,
        "machine": environment(),
    }


def notes(request: Request, *, command: str) -> Iterator[str]:
    """Data, test images, machine, versions and command."""
    scale = request.scale
    yield f"data: {data_text(request)}; {lengths(request)}"
    if scale.test_images is not None or scale.crop_images is not None:
        yield (
            f"test images: {_first(scale.test_images)} of an order drawn once (seed {pass_task.DRAW}); "
            f"{_first(scale.crop_images)} of it where crops are among what is compared"
        )
    yield from conditions(command)


def conditions(command: str) -> Iterator[str]:
    """The machine, the versions and the command."""
    machine = environment()
    flags = f" ({', '.join(machine['cpu_flags'])})" if machine["cpu_flags"] else ""
    devices = ", ".join(machine["cuda"])
    yield (
        f"{machine['cpu'] or 'a processor without a name'}{flags}, {plural(machine['cores'], 'processor')}"
        f"{f', {devices}' if devices else ''}"
    )
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if version)
    commit = f", commit {machine['commit']}" if machine["commit"] else ""
    yield f"Python {machine['python']}, {packages}{commit}"
    yield f"command: {command}"


def data_text(request: Request) -> str:
    """What the data set is called; of a folder only its own name."""
    known = DATASETS.get(request.scale.data)
    return Path(request.scale.data).name if known is None else known.title


def lengths(request: Request) -> str:
    """How pixels and data compare with the paper's."""
    if request.scale.divisor == 1:
        return "the paper's own lengths in pixels; its figures are of ILSVRC's validation images too"
    return (
        f"all lengths in pixels are {_ordinal(request.scale.divisor)} of the paper's, whose figures are of ImageNet: "
        "compare differences, not errors"
    )


def _first(images: int | None) -> str:
    return "all" if images is None else f"the first {images:,}"


def _ordinal(divisor: int) -> str:
    return {8: "an eighth"}.get(divisor, f"one {divisor}th")
