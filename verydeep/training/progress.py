"""How far a run has come: whole numbers and sums that a checkpoint holds and a resumed run takes up."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from verydeep.errors import WeightsError


@dataclass(slots=True)
class Progress:
    """The position of a run. It changes with every step; everything else about a run is fixed or an array."""

    epoch: int = 0  # epochs finished
    position: int = 0  # batches of the present epoch done
    step: int = 0  # optimiser steps taken
    drops: int = 0  # times that a plateau has lowered the learning rate
    stale: int = 0  # epochs since the validation accuracy was last better
    stale_since_drop: int = 0
    best: float = -1.0  # best validation accuracy so far
    stopped: bool = False  # early, by patience or on the last plateau
    loss_sum: float = 0.0  # over the images of the present epoch
    correct: int = 0
    seen: int = 0
    seconds: float = 0.0  # of training in the present epoch so far; no other state depends on it
    history: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])  # one row an epoch, as in metrics.jsonl
    timings: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])  # one row an epoch, as in timings.jsonl

    def to_json(self) -> dict[str, Any]:
        """Plain values; floats come back exactly."""
        return asdict(self)

    def advance(self) -> None:
        """A step is taken."""
        self.step += 1
        self.position += 1

    def count(self, *, loss_sum: float, correct: int, images: int) -> None:
        """What a step saw is known."""
        self.loss_sum += loss_sum
        self.correct += correct
        self.seen += images

    def finish_epoch(self, row: dict[str, Any]) -> None:
        """An epoch is done; `row` is its line of metrics."""
        self.history.append(row)
        self.timings.append({"epoch": row["epoch"], "seconds": round(self.seconds, 3)})
        self.epoch += 1
        self.position = self.correct = self.seen = 0
        self.loss_sum = self.seconds = 0.0

    def forget_best(self) -> None:
        """Begin to look for the best weights anew, because those of the past were not kept."""
        self.best, self.stale, self.stopped = -1.0, 0, False

    def judge(self, accuracy: float, *, plateau: int, drops: int) -> bool:
        """Take note of a validation accuracy; whether it is the best so far. Ties are not better."""
        if accuracy > self.best:
            self.best, self.stale, self.stale_since_drop = accuracy, 0, 0
            return True
        self.stale += 1
        self.stale_since_drop += 1
        if self.stale_since_drop >= plateau and self.drops < drops:
            self.drops += 1
            self.stale_since_drop = 0
        return False

    def is_on_last_plateau(self, *, plateau: int, drops: int) -> bool:
        """Whether all drops are behind the run and the accuracy has stopped growing once more."""
        return self.drops >= drops and self.stale_since_drop >= plateau


def from_json(values: dict[str, Any]) -> Progress:
    """The progress that `to_json` wrote."""
    if set(values) != {field.name for field in fields(Progress)}:
        raise WeightsError(
            "the checkpoint's progress has other entries than this version writes",
            code="CKP-NEWER",
            hint="Resume with the version of verydeep that wrote it.",
        )
    return Progress(**values)
