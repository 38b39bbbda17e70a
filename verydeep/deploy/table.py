"""An export as text: its files, what the model takes, how it was checked, and int8 beside floating point."""

from collections.abc import Callable

from verydeep.deploy.export import Exported
from verydeep.deploy.formats import FORMATS
from verydeep.deploy.quantise import Comparison
from verydeep.deploy.verify import TOLERANCE
from verydeep.durable import MEGABYTE
from verydeep.preprocessing import from_json
from verydeep.report import grid

HEADER = ("engine", "top-1", "agreement", "median ms", "min ms", "ratio")
ALIGN: tuple[grid.Align, ...] = ("left", "right", "right", "right", "right", "right")


def to_text(exported: Exported) -> str:
    """For a terminal."""
    return "\n".join((str(exported.path), *_lines(exported), *_compared(exported.comparison, grid.plain)))


def to_markdown(exported: Exported) -> str:
    """For a document."""
    lines = (f"- {line}" for line in _lines(exported))
    return "\n".join((f"`{exported.path}`", "", *lines, *_compared(exported.comparison, grid.markdown)))


def _lines(exported: Exported) -> tuple[str, ...]:
    checked = exported.checked
    sizes = " and ".join(f"{height}x{width}" for height, width in checked.sizes)
    batches = ", ".join(map(str, checked.batches))
    before = " before it became int8" if exported.comparison else ""
    format = FORMATS[exported.format]
    return (
        f"{format.title}: {', '.join(exported.files)}, {exported.bytes / MEGABYTE:.2f} MB",
        f"takes {_taken(exported)}{format.note and f'; {format.note}'}",
        f"checked{before} beside the PyTorch model on {checked.images} images of {sizes}, batches of {batches}: "
        f"logits within {checked.error:.1e} of the largest (at most {TOLERANCE:.0e}), the same classes",
    )


def _taken(exported: Exported) -> str:
    """The input in words."""
    record = from_json(exported.preprocessing)
    height, width = record.size
    size = f"{height}, {width}" if exported.size == "fixed" else "any height, any width"
    colours = {"grey": "grey", "RGB": "RGB", "BGR": "BGR"}[record.color]
    is_plain = not any(record.mean) and all(deviation == 1 for deviation in record.std)
    numbers = "0..255" if is_plain else f"minus {list(record.mean)}, divided by {list(record.std)}"
    is_last = FORMATS[exported.format].channels == "last"
    axes = f"{size}, {record.channels}" if is_last else f"{record.channels}, {size}"
    return f"float32 (batch, {axes}): {colours} pixels {numbers}, after rescaling" + (
        " and the central crop" if record.crop == "center" else ""
    )


def _compared(comparison: Comparison | None, draw: Callable[..., str]) -> tuple[str, ...]:
    if comparison is None:
        return ()
    rows = [
        [
            row.engine,
            f"{row.top1:.4f}",
            f"{row.agreement:.4f}",
            f"{row.median_ms:.2f}",
            f"{row.min_ms:.2f}",
            f"{row.ratio:.2f}",
        ]
        for row in comparison.engines
    ]
    explained = (
        f"{comparison.images:,} test images; time of a batch of {comparison.batch}, engines in turn; ranges "
        f"measured on {comparison.calibration:,} training images"
    )
    return "", draw(HEADER, rows, align=ALIGN), "", explained
