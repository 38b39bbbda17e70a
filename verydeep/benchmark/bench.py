"""Engines side by side on one network: times in turn, errors against float64, memory; over batches and sizes."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from verydeep.benchmark import bystanders
from verydeep.benchmark.asked import at_least_one, engines_of, precisions_of, threads_of
from verydeep.benchmark.circumstances import Circumstances, after
from verydeep.benchmark.contest import Entrant, Say, Timed, contest, once
from verydeep.benchmark.engines.catalog import ENGINES, why_not
from verydeep.benchmark.form import form_for
from verydeep.benchmark.rows import Row, filled, quickest_first, ratio
from verydeep.benchmark.subject import Subject, subject
from verydeep.benchmark.worker import Failed
from verydeep.durable import disk_errors
from verydeep.run_files import MODEL
from verydeep.spec import Network, Pair
from verydeep.weights import canonical

STANDARD = "torch float32"  # what ratios are taken to, where it takes part
CATALOG = "verydeep.benchmark.engines.catalog"


@dataclass(frozen=True, slots=True)
class Bench:
    """What one run of a benchmark found, and under what conditions."""

    network: Network
    standard: str  # whose median is the numerator of every ratio
    rows: tuple[Row, ...]  # point by point, the quickest first
    around: Circumstances

    def to_json(self) -> dict[str, Any]:
        """Plain values; the rows are under ``engines``."""
        return {
            "network": self.network.name,
            "standard": self.standard,
            **self.around.to_json(),
            "engines": [row.to_json() for row in self.rows],
        }


def bench(
    network: Subject = "D",
    *,
    engines: Sequence[str] | None = None,
    precisions: Sequence[str] = ("float32",),
    batches: Sequence[int] = (1,),
    sizes: Sequence[Pair] | None = None,
    threads: int | None = None,
    calls: int = 20,
    seed: int = 0,
    say: Say = lambda _: None,
) -> Bench:
    """Measure engines on a network, each in a process of its own, in turn; `verydeep bench` in Python.

    Args:
        network: A network or its name, which gets initial weights; a run, its folder or a model's file.
        engines: Names in `verydeep.benchmark.engines.catalog.ENGINES`; None is all, with those that cannot run marked.
        precisions: float32, bf16, int8.
        batches: Images of a call.
        sizes: (height, width) in pixels; others than the network's own are computed by its fully convolutional form.
        threads: Of each engine; None is one for each processor.
        calls: Timed calls of each engine.
        seed: Of the images and of initial weights.
        say: Told what is going on.

    Raises:
        ConfigError: no such network, engine or precision; an engine that was named cannot run here; a size that the
            network does not take; a number out of range.
        WeightsError: the run's model is damaged.
        ResourceError: the disk is full, or no process can be started.
    """
    kinds, threads = precisions_of(precisions), threads_of(threads)
    at_least_one(calls, option="calls")
    for batch in batches:
        at_least_one(batch, option="batch")
    chosen = engines_of(engines, precisions=kinds)
    described, weights = subject(network, seed=seed)
    points = list(product(sizes or ((described.input[1], described.input[2]),), batches))
    for size, _ in points:
        form_for(described, size)
    sides = _sides(chosen, kinds)
    watch = bystanders.begin()
    rows: list[Row] = []
    warnings: list[str] = []
    with tempfile.TemporaryDirectory(prefix="verydeep-bench-") as place:
        model = Path(place) / MODEL
        with disk_errors(model.parent, bytes_needed=sum(array.nbytes for array in weights.values())):
            canonical.save(model, network=described, weights=weights)
        for number, (size, batch) in enumerate(points):
            job = {"model": str(model), "size": size, "batch": batch, "threads": threads, "seed": seed}
            at = f"batch {batch} of {size[0]}x{size[1]}"
            folder = _made(model.parent / str(number))
            say(f"{at}: float64 reference")
            reference = _reference(job, folder=folder)
            if isinstance(reference, Failed):
                warnings.append(f"{at}: the float64 reference failed, so errors are not known: {reference}")
            found = contest(
                [side.entrant(job, folder=folder) for side in sides if side.lacks is None],
                calls=calls,
                threads=threads,
                folder=folder,
                keep=True,
                say=lambda what, at=at: say(f"{at}: {what}"),
            )
            timed = {one.name: one for one in found}
            point = [_row(side, timed.get(side.name), job, reference=reference) for side in sides]
            rows += quickest_first(with_ratios(point, standard=_standard(sides)))
    return Bench(
        network=described,
        standard=_standard(sides),
        rows=tuple(rows),
        around=after(watch, threads=threads, calls=calls, seed=seed, warnings=tuple(warnings)),
    )


@dataclass(frozen=True, slots=True)
class Side:
    """One engine in one precision, and why it cannot take part if it cannot."""

    engine: str
    precision: str
    lacks: str | None

    @property
    def name(self) -> str:
        """As in "torch float32"."""
        return f"{self.engine} {self.precision}"

    def entrant(self, job: dict[str, Any], *, folder: Path) -> Entrant:
        """What takes part in the contest of one point, with a folder of its own below `folder`."""
        own = _made(folder / self.name.replace(" ", "-"))
        told = {**job, "engine": self.engine, "precision": self.precision, "folder": str(own)}
        return Entrant(self.name, f"{CATALOG}:make", told)


def _sides(engines: Sequence[str], precisions: Sequence[str]) -> list[Side]:
    """Every engine in every precision that it has; one that has none of them is there to say so."""
    return [
        Side(engine, precision, why_not(engine, precision=precision))
        for engine in engines
        for precision in [one for one in precisions if one in ENGINES[engine].precisions] or precisions[:1]
    ]


def with_ratios(rows: Sequence[Row], *, standard: str) -> list[Row]:
    """The rows of one point, each with its ratio to the row of the standard, such as "torch float32"."""
    median = next((row.median_ms for row in rows if f"{row.engine} {row.precision}" == standard), None)
    return [replace(row, ratio=ratio(median, row.median_ms)) for row in rows]


def _standard(sides: Sequence[Side]) -> str:
    """PyTorch as it is, or the first that can run where that does not take part."""
    able = [side.name for side in sides if side.lacks is None]
    return STANDARD if STANDARD in able or not able else able[0]


def _row(side: Side, timed: Timed | None, job: dict[str, Any], *, reference: Path | Failed) -> Row:
    row = Row(side.engine, side.precision, job["batch"], *job["size"])
    if timed is None:
        return replace(row, failed=f"unavailable: {side.lacks}")
    return filled(row, timed, reference=None if isinstance(reference, Failed) else reference)


def _reference(job: dict[str, Any], *, folder: Path) -> Path | Failed:
    """The output in float64, by a process that has ended before any engine begins."""
    told = {**job, "precision": "float64", "folder": str(folder)}
    try:
        return once(Entrant("reference", f"{CATALOG}:make_reference", told), threads=job["threads"], folder=folder)
    except Failed as reason:
        return reason


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
