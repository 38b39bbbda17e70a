"""What the paper's ways of testing cost: dense evaluation beside 150 crops, and features beside the cut network.

Section 3.2 of arXiv:1409.1556: three scales Q = 256, 384, 512 of an image and its mirror, either through the fully
convolutional form or as 5x5 crops of 224 each. A square photograph needs a seventh of the arithmetic when it is dense.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from verydeep.benchmark import bystanders
from verydeep.benchmark.asked import at_least_one, engines_of, threads_of
from verydeep.benchmark.circumstances import Circumstances, after
from verydeep.benchmark.contest import Entrant, Say, Timed, contest
from verydeep.benchmark.engines.catalog import why_not
from verydeep.benchmark.form import form_for
from verydeep.benchmark.rows import megabytes, ratio
from verydeep.benchmark.subject import Subject, subject
from verydeep.durable import disk_errors
from verydeep.errors import ConfigError, choices
from verydeep.rewrite.cut import cut
from verydeep.run_files import MODEL
from verydeep.spec import Network, walk
from verydeep.weights import canonical

SCALES = (256, 384, 512)  # Q of section 3.2, in pixels
TAP = "relu3_3"  # the features of most users of VGG
ENGINES = ("verydeep", "torch-channels-last", "torch")
AGAINST = {"dense": "crops", "features": "cut"}  # what the ratio of a part is taken to
PARTS = (("dense", "crops"), ("features", "cut"))  # each a contest of its own: fewer processes in memory at once


@dataclass(frozen=True, slots=True)
class ProtocolRow:
    """One part with one engine; None where it failed."""

    engine: str
    part: str  # dense, crops, features or cut
    median_ms: float | None = None
    min_ms: float | None = None
    ratio: float | None = None  # its median by that of what it is held against: dense by crops, features by cut
    error: float | None = None  # the engines' errors are `bench`'s to tell
    peak_mb: float | None = None
    failed: str = ""


@dataclass(frozen=True, slots=True)
class ProtocolBench:
    """What one run found."""

    network: Network
    scales: tuple[int, ...]
    tap: str
    rows: tuple[ProtocolRow, ...]
    around: Circumstances

    def to_json(self) -> dict[str, Any]:
        """Plain values; the rows are under ``engines``."""
        return {
            "network": self.network.name,
            "scales": list(self.scales),
            "tap": self.tap,
            **self.around.to_json(),
            "engines": [asdict(row) for row in self.rows],
        }


def bench_protocols(
    network: Subject = "D",
    *,
    engines: Sequence[str] | None = None,
    scales: Sequence[int] = SCALES,
    tap: str = TAP,
    batch: int = 1,
    threads: int | None = None,
    calls: int = 5,
    seed: int = 0,
    say: Say = lambda _: None,
) -> ProtocolBench:
    """Measure the forward passes of the paper's protocols, each part and engine in a process of its own, in turn.

    Args:
        network: As in `verydeep.benchmark.bench.bench`.
        engines: Of ENGINES; None is all that can run here.
        scales: Sides of the square photograph.
        tap: The layer whose features are read.
        batch: Images whose features are read at once.
        threads: That each computes with; None is one for each processor.
        calls: Timed calls of each part.
        seed: Of images and initial weights.
        say: Told what is going on.

    Raises:
        ConfigError: no such network, engine or layer; an engine that cannot run here or has no part in this; a scale
            that is smaller than the network's images; a number out of range.
        SpecError: the network has no fully convolutional form, or cannot stop at `tap`.
        WeightsError: the run's model is damaged.
    """
    threads = threads_of(threads)
    at_least_one(calls, option="calls")
    at_least_one(batch, option="batch")
    chosen = _chosen(engines)
    described, weights = subject(network, seed=seed)
    for scale in scales:
        form_for(described, (scale, scale))
    refuse_missing_tap(described, tap)
    cut(described, tap)
    job = {"scales": list(scales), "tap": tap, "batch": batch, "threads": threads, "seed": seed}
    watch = bystanders.begin()
    rows: list[ProtocolRow] = []
    with tempfile.TemporaryDirectory(prefix="verydeep-bench-") as place:
        model = Path(place) / MODEL
        with disk_errors(model.parent, bytes_needed=sum(array.nbytes for array in weights.values())):
            canonical.save(model, network=described, weights=weights)
        for parts in PARTS:
            folder = model.parent / parts[0]
            folder.mkdir()
            found = contest(
                [_entrant(engine, part, {**job, "model": str(model)}) for engine, part in product(chosen, parts)],
                calls=calls,
                threads=threads,
                folder=folder,
                say=say,
            )
            rows += with_ratios([_row(one) for one in found])
    return ProtocolBench(
        network=described,
        scales=tuple(scales),
        tap=tap,
        rows=tuple(rows),
        around=after(watch, threads=threads, calls=calls, seed=seed),
    )


def refuse_missing_tap(network: Network, tap: str) -> None:
    """ConfigError, code LAYER-UNKNOWN, where the network has no such layer; another than D's may have other names."""
    names = [step.layer.name for step in walk(network)]
    if tap not in names:
        raise ConfigError(
            f"{network.name} has no layer {tap!r} for --tap",
            code="LAYER-UNKNOWN",
            hint=f"Give one: {choices(tap, names)}",
        )


def with_ratios(rows: Sequence[ProtocolRow]) -> list[ProtocolRow]:
    """The rows with the ratio of each part to its counterpart, where it has one."""
    medians = {(row.engine, row.part): row.median_ms for row in rows}
    return [
        replace(row, ratio=ratio(row.median_ms, medians.get((row.engine, AGAINST[row.part]))))
        if row.part in AGAINST
        else row
        for row in rows
    ]


def _chosen(engines: Sequence[str] | None) -> tuple[str, ...]:
    if engines is None:
        return tuple(name for name in ENGINES if why_not(name, precision="float32") is None)
    for name in engines_of(engines, precisions=("float32",)):
        if name not in ENGINES:
            raise ConfigError(
                f"{name} takes no part in --protocols", code="ENGINE-UNAVAILABLE", hint=choices(name, ENGINES)
            )
    return tuple(engines)


def _entrant(engine: str, part: str, job: dict[str, Any]) -> Entrant:
    return Entrant(f"{engine} {part}", "verydeep.benchmark.protocol_side:make", {**job, "engine": engine, "part": part})


def _row(timed: Timed) -> ProtocolRow:
    engine, _, part = timed.name.partition(" ")
    if timed.failed:
        return ProtocolRow(engine, part, failed=timed.failed)
    return ProtocolRow(
        engine,
        part,
        median_ms=1e3 * timed.median,
        min_ms=1e3 * timed.least,
        peak_mb=megabytes(timed.peak_bytes),
    )
