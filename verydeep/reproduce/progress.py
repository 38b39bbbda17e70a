"""What one sees while a reproduction is computed: a line for each training and pass, with the time left."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from verydeep.record.words import duration, percent
from verydeep.reproduce import task as tasks
from verydeep.reproduce.request import Request
from verydeep.reproduce.task import Task

INTERVAL = 60.0  # seconds between two lines of one training


@dataclass(slots=True)
class Ledger:
    """What is done of the tasks, in MACs and seconds, kind by kind: a training and a pass differ in speed."""

    costs: Mapping[Task, int]
    request: Request
    finished: int = 0
    _left: dict[str, int] = field(default_factory=dict[str, int])  # MACs
    _spent: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])  # MACs, seconds

    def __post_init__(self) -> None:
        for task, cost in self.costs.items():
            self._left[tasks.verb(task)] = self._left.get(tasks.verb(task), 0) + cost

    def done(self, task: Task, *, seconds: float) -> str:
        """Take note that a task is done; the line that says so."""
        kind = tasks.verb(task)
        macs, spent = self._spent.get(kind, (0, 0.0))
        self._spent[kind] = (macs + self.costs[task], spent + seconds)
        self._left[kind] -= self.costs[task]
        self.finished += 1
        left = f"; about {duration(self.seconds_left())} left" if self.finished < len(self.costs) else ""
        name = tasks.name(task, self.request)
        return f"[{self.finished}/{len(self.costs)}] {name} {kind} in {duration(seconds)}{left}"

    def seconds_left(self) -> float:
        """By the speed of what was done; a kind of which nothing was is as fast as the other."""
        macs, spent = (sum(part) for part in zip(*self._spent.values(), strict=True))
        general = spent / max(macs, 1)
        rates = {kind: taken / max(done, 1) for kind, (done, taken) in self._spent.items()}
        return sum(left * rates.get(kind, general) for kind, left in self._left.items()) / self.request.jobs


class Brief:
    """A training's display: its warnings, and an epoch's line not more often than once a minute."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said = monotonic()

    def begin(self, *, title: str, steps: int, done: int) -> None:
        """See `Display`."""

    def step(self, *, loss: float, accuracy: float) -> None:
        """See `Display`."""

    def epoch(self, row: dict[str, Any], *, seconds: float, images_per_second: float) -> None:
        """See `Display`."""
        if monotonic() - self._said > INTERVAL:
            self._said = monotonic()
            held_out = "" if row["val_top1"] is None else f", validation {percent(row['val_top1'])} right"
            say(f"{self._name}: epoch {row['epoch']}, loss {row['train_loss']:.3f}{held_out}")

    def note(self, text: str) -> None:
        """See `Display`."""
        if text.startswith("warning"):
            say(f"{self._name}: {text}")

    def end(self) -> None:
        """See `Display`."""


def say(text: str) -> None:
    """A line on standard error, written as a whole so that those of several processes do not mix."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
