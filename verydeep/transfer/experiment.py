"""Transfer: a linear classifier on a network's fixed features of another data set (arXiv:1409.1556, appendix B)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from verydeep.data.check import refuse_unreadable
from verydeep.data.split import FileSplit
from verydeep.engine.choice import EngineName
from verydeep.errors import ConfigError
from verydeep.run import Run, open_run
from verydeep.transfer import baselines, linear_svm, room, sets
from verydeep.transfer.aggregation import Aggregation, Combine
from verydeep.transfer.baselines import Baseline
from verydeep.transfer.dense_taps import penultimate
from verydeep.transfer.descriptors import describe, refuse_impossible
from verydeep.transfer.judge import Row, judge, refuse_costs, refuse_unlearnable
from verydeep.transfer.labelled import Labelled

# Appendix B, in 224ths of the side that the network reads: how many scales, and what becomes of them.
VOC = Aggregation(scales=(256, 384, 512, 640, 768), combine="pooled")
CALTECH = Aggregation(scales=(256, 384, 512), combine="stacked")
PAPER_SIDE = 224

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an experiment does; None is what the paper does with this kind of data."""

    layer: str | None = None  # None: the last before the classifier
    scales: tuple[int, ...] | None = None
    combine: Combine | None = None
    flip: bool = True
    baselines: tuple[Baseline, ...] = ()
    seed: int = 0  # of the images on which C is chosen
    costs: tuple[float, ...] = linear_svm.GRID
    batch: int = 32
    engine: EngineName = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        """ConfigError, code OPTION-VALUE, for a C that cannot be."""
        refuse_costs(self.costs)


@dataclass(frozen=True, slots=True)
class Transfer:
    """The table of an experiment, and what it was made of."""

    data: str
    classes: int
    images: int
    partitions: int
    networks: tuple[dict[str, object], ...]  # name, layer, scales and the rest of each
    seed: int
    costs: tuple[float, ...]
    rows: tuple[Row, ...]


def transfer(
    runs: Sequence[Run | str | Path],
    data: str | Labelled,
    *,
    plan: Plan | None = None,
    wishes: sets.Wishes | None = None,
) -> Transfer:
    """How well a linear classifier does on features of each run's network, and on those of all networks together.

    Args:
        runs: Runs, their folders, or models' files.
        data: As `sets.load` takes it, or images with labels.
        plan: What is done with them.
        wishes: Which images are taken.

    Raises:
        ConfigError: options, layers or scales that cannot be.
        DataError: images missing, unreadable, or too few; before any feature is computed.
        ResourceError: a scale needs more memory than there is.
        NumericalError: features that are not finite.
    """
    plan, opened = plan or Plan(), [run if isinstance(run, Run) else open_run(run) for run in runs]
    channels = _channels(opened)
    chosen = wishes or sets.Wishes()
    labelled = data if isinstance(data, Labelled) else sets.load(data, channels=channels, wishes=chosen)
    refuse_undoable(opened, labelled, plan)
    rows = [
        judge(name, features, labelled, seed=plan.seed, grid=plan.costs)
        for name, features in _features(opened, labelled, plan)
    ]
    return Transfer(
        data=labelled.name,
        classes=len(labelled.classes),
        images=len(labelled.images),
        partitions=len(labelled.partitions),
        networks=tuple(_said(run, aggregation(run, labelled, plan), plan) for run in opened),
        seed=plan.seed,
        costs=plan.costs,
        rows=tuple(rows),
    )


def refuse_undoable(runs: Sequence[Run], labelled: Labelled, plan: Plan) -> None:
    """All that `transfer` raises before a feature is computed, with the data loaded: layers, scales, memory, images."""
    sizes = room.sizes(labelled.images)
    for run in runs:
        scales = aggregation(run, labelled, plan).scales
        refuse_impossible(run, scales, layers=(_layer(run, plan),), sizes=sizes)
    refuse_data(labelled, channels=_channels(runs), seed=plan.seed)


def refuse_data(labelled: Labelled, *, channels: int, seed: int) -> None:
    """DataError where a class cannot be learnt (DATA-TOO-FEW) or a file cannot be read (DATA-BAD-IMAGES)."""
    refuse_unlearnable(labelled, seed=seed)
    files = tuple(str(source) for source in labelled.images if not isinstance(source, np.ndarray))
    refuse_unreadable(FileSplit(labelled.name, ("",), np.zeros(len(files), np.int64), files, channels=channels))


def aggregation(run: Run, labelled: Labelled, plan: Plan) -> Aggregation:
    """What the plan says, and for the rest what the paper does with such data, its scales in the network's pixels."""
    paper, side = VOC if labelled.measure == "average-precision" else CALTECH, max(run.network.input[1:])
    scales = plan.scales or tuple(round(scale * side / PAPER_SIDE) for scale in paper.scales)
    return replace(paper, scales=scales, combine=plan.combine or paper.combine, flip=plan.flip)


def features(run: Run, labelled: Labelled, plan: Plan) -> Array:
    """The descriptors of all images, (images, features)."""
    found = describe(
        run,
        labelled.images,
        layers=(_layer(run, plan),),
        aggregation=aggregation(run, labelled, plan),
        batch=plan.batch,
        engine=plan.engine,
        device=plan.device,
    )
    (array,) = found.arrays.values()
    return array


def _features(runs: Sequence[Run], labelled: Labelled, plan: Plan) -> Iterator[tuple[str, Array]]:
    """The features of each row by name: networks, all of them one behind the other, baselines."""
    each: list[Array] = []
    for run in runs:
        each.append(features(run, labelled, plan))
        yield str(run.path), each[-1]
    if len(runs) > 1:
        yield " + ".join(str(run.path) for run in runs), np.concatenate(each, axis=1)
    if "random" in plan.baselines:
        for run in runs:
            yield f"{run.path}, untrained", features(baselines.untrained(run), labelled, plan)
    if "pixels" in plan.baselines:
        channels = runs[0].preprocessing.channels
        yield f"pixels {baselines.SIDE}x{baselines.SIDE}", baselines.pixels(labelled.images, channels=channels)


def _said(run: Run, how: Aggregation, plan: Plan) -> dict[str, object]:
    return {"run": str(run.path), "network": run.network.name, "layer": _layer(run, plan), **how.to_json()}


def _layer(run: Run, plan: Plan) -> str:
    return plan.layer or penultimate(run.network)


def _channels(runs: Sequence[Run]) -> int:
    if not runs:
        raise ConfigError("no run is given", code="RUN-MISSING", hint="Name a folder that `verydeep train` wrote.")
    channels = {run.preprocessing.channels for run in runs}
    if len(channels) > 1:
        raise ConfigError(
            "some of the networks take grey images and some take colour",
            code="DATA-CHANNELS",
            hint="Transfer them one by one.",
        )
    return channels.pop()
