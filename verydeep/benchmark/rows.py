"""A benchmark's rows: times, ratio, error and memory of one engine at one point, or why it has none."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.benchmark.contest import Timed

MEGABYTE = 1e6  # bytes, as everywhere here


@dataclass(frozen=True, slots=True)
class Row:
    """One engine in one precision on one batch of one size; None where it failed or nobody knows."""

    engine: str
    precision: str
    batch: int
    height: int  # pixels
    width: int
    median_ms: float | None = None  # of a call, which computes the whole batch
    min_ms: float | None = None
    image_ms: float | None = None  # of one image: the median by the batch
    ratio: float | None = None  # how many times as fast as the standard: its median / this median
    error: float | None = None  # largest difference to float64, in units of its largest logit
    peak_mb: float | None = None  # most resident memory of the process while it computed
    build_mb: float | None = None  # and while it was built
    version: str = ""
    runs: str = ""  # what computes, where the engine chooses
    fallbacks: tuple[str, ...] = ()  # steps that it left to PyTorch
    restless: bool = False  # its threads went on while it was another's turn
    failed: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"fallbacks": list(self.fallbacks)}


def filled(row: Row, timed: Timed, *, reference: Path | None) -> Row:
    """`row` with what was measured; its ratio is still to come.

    Args:
        row: Engine, precision and point.
        timed: What the contest says of it.
        reference: The float64 output as .npy; None where there is none.
    """
    point = {name: getattr(row, name) for name in ("engine", "precision", "batch", "height", "width")}
    if timed.failed:
        return Row(**point, failed=timed.failed)
    try:
        error = None if reference is None else error_of(_loaded(timed.output), _loaded(reference))
    except ValueError as reason:
        return Row(**point, failed=str(reason))
    return Row(
        **point,
        median_ms=1e3 * timed.median,
        min_ms=1e3 * timed.least,
        image_ms=1e3 * timed.median / row.batch,
        error=error,
        peak_mb=megabytes(timed.peak_bytes),
        build_mb=megabytes(timed.build_bytes),
        version=timed.about.get("version") or "",
        runs=timed.about.get("runs", ""),
        fallbacks=tuple(timed.about.get("fallbacks", ())),
        restless=timed.restless,
    )


def error_of(found: Any, expected: Any) -> float:
    """The largest |found - expected|, in units of the largest |expected|.

    Raises:
        ValueError: the shapes differ, or a number that was found is not finite.
    """
    if found.shape != expected.shape:
        raise ValueError(f"it gives {found.shape}, not {expected.shape}")
    if not np.isfinite(found).all():
        raise ValueError("a logit is not a finite number")
    largest = float(np.abs(expected).max()) or 1.0
    return float(np.abs(found.astype(np.float64) - expected).max()) / largest


def ratio(standard: float | None, median: float | None) -> float | None:
    """How many times as fast as the standard; None where one of the two has no time."""
    return standard / median if standard and median else None


def quickest_first(rows: Sequence[Row]) -> list[Row]:
    """The rows of one point, those without a time last."""
    return sorted(rows, key=lambda row: (row.median_ms is None, row.median_ms or 0.0))


def megabytes(count: int | None) -> float | None:
    """Bytes as millions of them."""
    return None if count is None else count / MEGABYTE


def _loaded(path: Path | None) -> Any:
    if path is None:
        raise ValueError("it left no output")
    return np.load(path, allow_pickle=False)
