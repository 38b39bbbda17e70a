"""Engines as a table for each batch and size."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from verydeep.benchmark.bench import Bench
from verydeep.benchmark.rows import Row
from verydeep.benchmark.sections import NONE, Section, conditions, number, reason, status
from verydeep.report.words import plural

HEADER = ("engine", "precision", "median ms", "min ms", "ms an image", "ratio", "error", "peak MB")


def sections(bench: Bench) -> Iterator[Section]:
    """One for each point."""
    threads = plural(bench.around.threads, "thread")
    for (batch, height, width), rows in groupby(bench.rows, key=lambda row: (row.batch, row.height, row.width)):
        found = list(rows)
        title = f"{bench.network.name}, {plural(batch, 'image')} of {height}x{width}, {threads}"
        yield Section(title, HEADER, 2, [_cells(row) for row in found], list(_remarks(found)))


def notes(bench: Bench) -> list[str]:
    """What the columns mean, and the conditions."""
    versions = {row.engine: row.version for row in bench.rows if row.version}
    return [
        *conditions(bench.around),
        ", ".join(f"{engine} {version}" for engine, version in versions.items()) or "no engine ran",
        f"ratio: how many times as fast as {bench.standard}; medians of {plural(bench.around.calls, 'call')}, in turn",
        "error: largest difference to PyTorch in float64, in units of its largest logit",
        "peak MB: the most that the engine's process had in memory while it computed, Python and libraries included",
    ]


def _cells(row: Row) -> list[str]:
    return [
        row.engine,
        row.precision,
        status(row.failed) if row.failed else number(row.median_ms, digits=2),
        number(row.min_ms, digits=2),
        number(row.image_ms, digits=2),
        number(row.ratio, digits=2, unit="x"),
        NONE if row.error is None else f"{row.error:.1e}",
        number(row.peak_mb, digits=0),
    ]


def _remarks(rows: Sequence[Row]) -> Iterator[str]:
    """What the columns cannot say of a row."""
    for row in rows:
        name = f"{row.engine} {row.precision}"
        if row.failed:
            yield reason(name, row.failed)
        if row.runs:
            yield f"{name} runs {row.runs}"
        if row.fallbacks:
            yield f"{name}: PyTorch computes {plural(len(row.fallbacks), 'step')}: {'; '.join(row.fallbacks)}"
        if row.restless:
            yield f"{name}: its threads went on in the turns of others, whose times may be too long"
