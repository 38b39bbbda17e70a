"""A contest: processes that are all built first and then called in turn, A B C A B C, one at a time.

What slows the machine for a while then slows all of them, and a ratio of two medians stays right. A call that follows
others' finds its threads asleep and the processor's caches full of theirs; so each turn is a call that wakes it, which
is not timed, and one that is. Where a call takes half a second or more there is none to wake: it would change nothing.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from verydeep.benchmark.worker import Failed, Worker

WARM_UP = 3  # calls before the first turn; the first of torch.compile compiles
LONG = 0.5  # seconds of a call, from which none is needed to wake
Say = Callable[[str], None]  # what is going on, for whoever waits


@dataclass(frozen=True, slots=True)
class Entrant:
    """What takes part: a function "module:name" that makes of a job, which is JSON, something that can be called."""

    name: str  # unique in its contest
    maker: str
    job: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Timed:
    """What was measured of one entrant; nothing but the reason where it failed."""

    name: str
    seconds: tuple[float, ...] = ()  # of each timed call
    output: Path | None = None  # the array that it computed, as .npy
    peak_bytes: int | None = None  # most resident memory of the process while it was called
    build_bytes: int | None = None  # and while it was built
    about: dict[str, Any] = field(default_factory=dict)
    restless: bool = False  # its threads went on while it was another's turn
    failed: str = ""

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.seconds)

    @property
    def least(self) -> float:
        """Seconds."""
        return min(self.seconds)


def contest(
    entrants: Sequence[Entrant],
    *,
    calls: int,
    threads: int,
    folder: Path,
    keep: bool = False,
    say: Say = lambda _: None,
) -> list[Timed]:
    """Build all entrants, call them in turn, and return what was measured, in their order.

    Args:
        entrants: Each becomes a process.
        calls: Timed calls of each.
        threads: That each may compute with.
        folder: Where outputs and what the processes print are left; empty.
        keep: Whether the last result of each is saved.
        say: Told what is going on.
    """
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        found = {entrant.name: Timed(entrant.name) for entrant in entrants}
        for number, entrant in enumerate(entrants):
            say(f"building {entrant.name}")
            worker = Worker(threads=threads, folder=folder, name=str(number))
            stack.callback(worker.close)
            output = folder / f"{number}.npy" if keep else None
            try:
                found[entrant.name] = _built(worker, entrant, output)
                workers[entrant.name] = worker
            except Failed as reason:
                worker.close()
                found[entrant.name] = Timed(entrant.name, failed=str(reason))
        for number in range(calls):
            say(f"round {number + 1} of {calls}")
            for name, worker in list(workers.items()):
                found[name] = _turn(worker, found[name])
                if found[name].failed:
                    worker.close()
                    del workers[name]
        for name, worker in workers.items():
            found[name] = _finished(worker, found[name])
        return list(found.values())


def once(entrant: Entrant, *, threads: int, folder: Path) -> Path:
    """What one process computes in one call, as a file .npy; the process ends before anything else begins.

    Raises:
        Failed: it could not.
    """
    worker, output = Worker(threads=threads, folder=folder, name=entrant.name), folder / f"{entrant.name}.npy"
    try:
        worker.ask("build", maker=entrant.maker, job=entrant.job)
        worker.ask("call")
        worker.ask("save", path=str(output))
        return output
    finally:
        worker.close()


def _built(worker: Worker, entrant: Entrant, output: Path | None) -> Timed:
    worker.ask("build", maker=entrant.maker, job=entrant.job)
    for _ in range(WARM_UP):
        worker.ask("call")
    if output is not None:
        worker.ask("save", path=str(output))
    building = worker.ask("settle")["build_bytes"]
    return Timed(entrant.name, output=output, build_bytes=building, restless=not worker.rest())


def _turn(worker: Worker, timed: Timed) -> Timed:
    try:
        if not timed.seconds or timed.seconds[-1] < LONG:
            worker.ask("call")
        seconds = worker.ask("call")["seconds"]
    except Failed as reason:
        return Timed(timed.name, failed=str(reason))
    return replace(timed, seconds=(*timed.seconds, seconds), restless=not worker.rest() or timed.restless)


def _finished(worker: Worker, timed: Timed) -> Timed:
    try:
        said = worker.ask("finish")
    except Failed as reason:
        return Timed(timed.name, failed=str(reason))
    return replace(timed, peak_bytes=said["peak_bytes"], about=dict(said["about"]))
