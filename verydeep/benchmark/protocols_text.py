"""Protocols as two tables: dense beside 150 crops, features beside the cut network."""

from collections.abc import Iterator

from verydeep.benchmark.protocols import AGAINST, PARTS, ProtocolBench, ProtocolRow
from verydeep.benchmark.sections import Section, conditions, number, reason, status
from verydeep.report.words import plural

HEADER = ("engine", "part", "median ms", "min ms", "ratio", "peak MB")


def sections(bench: ProtocolBench) -> Iterator[Section]:
    """One for each pair of parts."""
    scales, crops = ", ".join(map(str, bench.scales)), 50 * len(bench.scales)
    titles = (
        f"one square photograph at Q = {scales} with its mirror: dense, and as {crops} crops",
        f"features at {bench.tap}: of the whole network, and of the network cut there",
    )
    for title, parts in zip(titles, PARTS, strict=True):
        rows = [row for row in bench.rows if row.part in parts]
        failed = [reason(f"{row.engine} {row.part}", row.failed) for row in rows if row.failed]
        threads = plural(bench.around.threads, "thread")
        yield Section(f"{bench.network.name}, {threads}; {title}", HEADER, 2, list(map(_cells, rows)), failed)


def notes(bench: ProtocolBench) -> list[str]:
    """What the columns mean, and the conditions."""
    against = "; ".join(f"{part} by {other}" for part, other in AGAINST.items())
    return [
        *conditions(bench.around),
        f"ratio of medians: {against}; {plural(bench.around.calls, 'call')}, in turn; forward passes only",
    ]


def _cells(row: ProtocolRow) -> list[str]:
    return [
        row.engine,
        row.part,
        status(row.failed) if row.failed else number(row.median_ms),
        number(row.min_ms),
        number(row.ratio, digits=3),
        number(row.peak_mb, digits=0),
    ]
