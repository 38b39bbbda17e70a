"""What has to be computed for a table: every training, each after those that it begins with, and every pass of a test.

Tables share them: a training is known by its network, S and seed, a pass by its training, protocol and Q.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from verydeep.reproduce.declared import Experiment, Kind, Trained
from verydeep.reproduce.scales import Scale
from verydeep.settings.config import Config

PassKind = Literal["center", "dense", "multi-crop"]


@dataclass(frozen=True, slots=True)
class Training:
    """A run folder that is wanted."""

    trained: Trained
    seed: int

    def folder(self, out: Path, scale: Scale) -> Path:
        """Where the run lies."""
        return out / "runs" / self.name(scale)

    def name(self, scale: Scale) -> str:
        """``D-32-seed-0``."""
        return f"{scale.run_name(self.trained)}-seed-{self.seed}"

    def before(self) -> "Training | None":
        """The training whose weights it begins with; it has the same seed, and so holds out the same images."""
        begins_with = self.trained.begins_with()
        return None if begins_with is None else Training(begins_with, self.seed)


@dataclass(frozen=True, slots=True)
class Start:
    """A way for a network to begin, of those that are compared; see `initialisation_table.starts`."""

    name: str  # ``D-he``
    config: Config  # complete but for seed, places and machine
    grows_from: "Start | None" = None


@dataclass(frozen=True, slots=True)
class Started:
    """A run folder of a network that began in a certain way."""

    start: Start
    seed: int

    def folder(self, out: Path, scale: Scale) -> Path:
        """Where the run lies."""
        return out / "runs" / self.name(scale)

    def name(self, scale: Scale) -> str:
        """``D-he-seed-0``; no scale has a say in it."""
        del scale
        return f"{self.start.name}-seed-{self.seed}"

    def before(self) -> "Started | None":
        """The training whose layers it begins with."""
        source = self.start.grows_from
        return None if source is None else Started(source, self.seed)


AnyTraining = Training | Started


@dataclass(frozen=True, slots=True)
class Pass:
    """A run's posteriors of the test images at one scale Q; averages of passes are the paper's protocols."""

    training: Training
    kind: PassKind
    side: int  # Q, in the scale's own pixels

    def folder(self, out: Path, scale: Scale) -> Path:
        """Where what was found lies."""
        return out / "evaluations" / self.training.name(scale)

    def name(self, scale: Scale) -> str:
        """``D-32-seed-0 dense at 36``."""
        return f"{self.training.name(scale)} {self.kind} at {self.side}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pass and how many test images it must have: the first so many in a fixed order, None for all."""

    one: Pass
    images: int | None


def passes(tested: Experiment, *, seed: int, scale: Scale) -> tuple[Pass, ...]:
    """The passes whose posteriors, averaged with equal weights, are the protocol's."""
    return tuple(
        Pass(Training(trained, seed), kind, side)
        for trained in tested.trained
        for kind in _kinds(tested.kind)
        for side in scale.test_sides(trained, tested.sides)
    )


def wanted(tests: Iterable[tuple[Experiment, int | None]], *, seed: int, scale: Scale) -> tuple[Wanted, ...]:
    """Every pass of the tests once, with the most images that one of them asks for."""
    most: dict[Pass, int | None] = {}
    for tested, images in tests:
        for one in passes(tested, seed=seed, scale=scale):
            most[one] = _larger(most[one], images) if one in most else images
    return tuple(Wanted(one, images) for one, images in most.items())


def trainings(needed: Iterable[AnyTraining]) -> tuple[AnyTraining, ...]:
    """Every training and those that it begins with, which come first; each once."""
    ordered: dict[AnyTraining, None] = {}
    for one in needed:
        for training in reversed(list(_chain(one))):
            ordered.setdefault(training)
    return tuple(ordered)


def _chain(training: AnyTraining) -> Iterator[AnyTraining]:
    at: AnyTraining | None = training
    while at is not None:
        yield at
        at = at.before()


def _kinds(kind: Kind) -> tuple[PassKind, ...]:
    return ("dense", "multi-crop") if kind == "both" else (kind,)


def _larger(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)
