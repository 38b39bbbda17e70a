"""Training steps side by side: our loop and plain PyTorch, the same network, batch and precision, in turn."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from verydeep.benchmark import bystanders
from verydeep.benchmark.asked import at_least_one, threads_of
from verydeep.benchmark.circumstances import Circumstances, after
from verydeep.benchmark.contest import Entrant, Say, Timed, contest
from verydeep.benchmark.rows import megabytes, ratio
from verydeep.data.catalog import DATASETS
from verydeep.settings.config import Config
from verydeep.settings.recipes import RECIPES, resolve

STEPS = 4  # of a call: an epoch of noise
STANDARD = "torch-channels-last"  # what ratios are taken to
SIDE = "verydeep.benchmark.training_side"
DATA = {
    "digits": "digits",
    "mnist": "mnist",
    "cifar": "cifar10",
    "photographs": "cifar10",
    "paper": "cifar10",
    "paper-384": "cifar10",
    "paper-jitter": "cifar10",
    "laptop": "cifar10-jpeg",
    "laptop-48": "cifar10-jpeg",
    "laptop-jitter": "cifar10-jpeg",
}  # whose shape a recipe is for
USUAL = "fashion-mnist"  # for all other recipes
ASKED = (
    "paper",
    "paper-384",
    "paper-jitter",
)  # measured where they are named: 256 images of 224x224 take minutes a step


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One loop with one recipe; None where it failed."""

    engine: str
    recipe: str
    network: str
    precision: str
    batch: int
    height: int  # pixels
    width: int
    median_ms: float | None = None  # of a step
    min_ms: float | None = None
    images_per_second: float | None = None
    ratio: float | None = None  # how many times as fast as plain PyTorch with channels last
    error: float | None = None  # nothing to compare with: loops draw differently
    peak_mb: float | None = None
    loss: float | None = None  # mean of the last call, in nats: proof that it trained
    failed: str = ""


@dataclass(frozen=True, slots=True)
class TrainingBench:
    """What one run found."""

    rows: tuple[TrainingRow, ...]  # recipe by recipe
    around: Circumstances

    def to_json(self) -> dict[str, Any]:
        """Plain values; the rows are under ``engines``."""
        return {
            "steps": STEPS,
            "standard": STANDARD,
            **self.around.to_json(),
            "engines": [asdict(row) for row in self.rows],
        }


def bench_training(
    net: str | None = None,
    *,
    recipes: Sequence[str] = ("fashion",),
    threads: int | None = None,
    calls: int = 20,
    seed: int = 0,
    say: Say = lambda _: None,
    **settings: Any,
) -> TrainingBench:
    """Measure a training step of our loop and of plain PyTorch on noise, each in a process of its own, in turn.

    Args:
        net: A network's name; None is each recipe's own.
        recipes: Their names; () is all but those in `ASKED`.
        threads: That each computes with; None is one for each processor.
        calls: Timed calls of each, of STEPS steps.
        seed: Of the noise and of initial weights.
        say: Told what is going on.
        settings: Fields of `Config` that differ from the recipes': batch, size, precision, arch, ...

    Raises:
        ConfigError: no such recipe, network or setting, or a number out of range.
        ResourceError: no process can be started.
    """
    threads = threads_of(threads)
    at_least_one(calls, option="calls")
    chosen = [
        config for name in recipes or _quick() for config in _settled(_config(name, net, {**settings, "seed": seed}))
    ]
    watch = bystanders.begin()
    rows: list[TrainingRow] = []
    with tempfile.TemporaryDirectory(prefix="verydeep-bench-") as place:
        for number, config in enumerate(chosen):
            folder = Path(place) / str(number)
            folder.mkdir()
            found = contest(
                list(_entrants(config, threads)),
                calls=calls,
                threads=threads,
                folder=folder,
                keep=True,
                say=lambda what, config=config: say(f"recipe {config.recipe}, {config.precision}: {what}"),
            )
            rows += with_ratios([_row(one, config) for one in found])
    return TrainingBench(tuple(rows), after(watch, threads=threads, calls=calls, seed=seed))


def with_ratios(rows: Sequence[TrainingRow]) -> list[TrainingRow]:
    """The rows of one recipe, each with its ratio to plain PyTorch with channels last."""
    standard = next((row.median_ms for row in rows if row.engine == STANDARD), None)
    return [replace(row, ratio=ratio(standard, row.median_ms)) for row in rows]


def _quick() -> tuple[str, ...]:
    """Every recipe that takes no more than seconds a step on a CPU."""
    return tuple(name for name in RECIPES if name not in ASKED)


def _config(name: str, net: str | None, settings: dict[str, Any]) -> Config:
    named = {} if net is None else {"net": net}
    return resolve({"recipe": name, "data": DATA.get(name, USUAL), **named, **settings})


def _settled(config: Config) -> tuple[Config, ...]:
    """A run settles "auto" by a trial; here both of its precisions are measured."""
    if config.precision != "auto":
        return (config,)
    return tuple(config.updated(precision=precision) for precision in ("float32", "bf16"))


def _entrants(config: Config, threads: int) -> Iterator[Entrant]:
    """Ours, plain PyTorch with channels last and as it is, and, of another precision, the book's float32."""
    dataset = DATASETS[config.data]
    channels, height, width = dataset.shape or (3, 32, 32)
    if config.size is not None:
        height = width = max(config.scale or (config.size,))
    job = {
        "config": config.model_dump(mode="json"),
        "shape": (channels, height, width),
        "classes": dataset.classes,
        "steps": STEPS,
        "threads": threads,
    }
    yield Entrant("verydeep", f"{SIDE}:ours", job)
    yield Entrant(STANDARD, f"{SIDE}:plain", {**job, "layout": "channels_last"})
    yield Entrant("torch", f"{SIDE}:plain", {**job, "layout": "channels_first"})
    if config.precision != "float32":
        book = config.updated(precision="float32").model_dump(mode="json")
        yield Entrant("torch float32", f"{SIDE}:plain", {**job, "config": book, "layout": "channels_first"})


def _row(timed: Timed, config: Config) -> TrainingRow:
    engine, _, precision = timed.name.partition(" ")
    _, height, width = timed.about.get("input", (0, 0, 0))
    row = TrainingRow(
        engine=engine,
        recipe=config.recipe,
        network=timed.about.get("network", config.net or config.arch or ""),
        precision=precision or config.precision,
        batch=config.batch,
        height=height,
        width=width,
    )
    if timed.failed:
        return replace(row, failed=timed.failed)
    return replace(
        row,
        median_ms=1e3 * timed.median / STEPS,
        min_ms=1e3 * timed.least / STEPS,
        images_per_second=STEPS * config.batch / timed.median,
        peak_mb=megabytes(timed.peak_bytes),
        loss=None if timed.output is None else float(np.load(timed.output, allow_pickle=False)),
    )
