"""A training run small enough to repeat many times: a few channels on the embedded digits."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verydeep.run import Run
from verydeep.settings.config import Config
from verydeep.training.session import train


def tiny(**changes: Any) -> Config:
    """Two epochs of ten steps of a thin network, with every source of randomness switched on."""
    config = Config(
        arch="1x4,1x8",
        fc=(16,),
        dropout=0.2,
        batch_norm=True,
        epochs=2,
        batch=130,
        lr=0.05,
        pad=1,
        workers=0,
        schedule="cosine",
    )
    return config.updated(**changes)


@dataclass
class Recorder:
    """A display that remembers what it was told."""

    notes: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0

    def begin(self, *, title: str, steps: int, done: int) -> None:
        self.notes.append(title)

    def step(self, *, loss: float, accuracy: float) -> None:
        self.steps += 1

    def epoch(self, row: dict[str, Any], *, seconds: float, images_per_second: float) -> None:
        self.rows.append(row)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self) -> None:
        pass


def trained(folder: Path, **changes: Any) -> Run:
    """The finished run of `tiny` in `folder`."""
    return train(tiny(**changes), out=folder, display=Recorder())


def bits(run: Run) -> dict[str, bytes]:
    """Everything of a run that must not differ between equal runs."""
    weights = {name: array.tobytes() for name, array in run.weights.items()}
    return {**weights, "metrics": (run.path / "metrics.jsonl").read_bytes()}
