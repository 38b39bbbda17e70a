"""Under what conditions a benchmark ran: the machine, who else used it, threads, repetitions, the command."""

from dataclasses import asdict, dataclass
from typing import Any

from verydeep.benchmark import bystanders
from verydeep.record.environment import environment


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What must be known to believe a time, and to take it again."""

    threads: int  # of each process
    calls: int  # timed, of each process
    seed: int
    others_before: float | None  # processors that others used before the run; None where nobody counts
    others_during: float | None
    warnings: tuple[str, ...]
    machine: dict[str, Any]  # as `verydeep.record.environment.environment`
    command: str = ""  # that was typed, where one was

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"warnings": list(self.warnings)}


def after(
    watch: bystanders.Watch, *, threads: int, calls: int, seed: int, warnings: tuple[str, ...] = ()
) -> Circumstances:
    """The conditions of a run that began with `watch`; a machine that was not idle adds a warning."""
    during = bystanders.others(watch)
    disturbed = bystanders.warning(watch.before, during)
    return Circumstances(
        threads=threads,
        calls=calls,
        seed=seed,
        others_before=watch.before,
        others_during=during,
        warnings=(*warnings, disturbed) if disturbed else warnings,
        machine=environment(),
    )
