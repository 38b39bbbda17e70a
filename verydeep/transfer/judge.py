"""How good features are for a data set: a linear classifier for each partition, and what it reaches on the test."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, stdev
from typing import Any, TypeAlias

import numpy.typing as npt

from verydeep.errors import ConfigError
from verydeep.evaluation import metrics
from verydeep.transfer import linear_svm
from verydeep.transfer.average_precision import RULES, mean_average_precision, of_classes
from verydeep.transfer.labelled import Labelled, Partition

Array: TypeAlias = npt.NDArray[Any]
Values: TypeAlias = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """How one set of features does, on every partition."""

    name: str
    features: int  # of one descriptor
    values: Mapping[str, tuple[float, ...]]  # by measure; fractions
    per_class: Mapping[str, float | None]  # by class, of the last measure, the mean; None: no such test image
    costs: tuple[float, ...]  # C

    def mean(self, measure: str) -> float:
        """Over partitions."""
        return fmean(self.values[measure])

    def deviation(self, measure: str) -> float | None:
        """The standard deviation over partitions; None for one alone."""
        values = self.values[measure]
        return stdev(values) if len(values) > 1 else None


def judge(name: str, descriptors: Array, labelled: Labelled, *, seed: int, grid: Sequence[float]) -> Row:
    """Train and test on each partition; no test image has a say in C.

    Args:
        name: Of the features.
        descriptors: Of all images, (images, features).
        labelled: The images' truth and partitions.
        seed: Of the images on which C is chosen.
        grid: The C to choose from.

    Raises:
        ConfigError: code OPTION-VALUE; a C is not above 0, or there is none.
        DataError: too few images of a class.
    """
    refuse_costs(grid)
    found = [_on(part, descriptors, labelled, seed=seed, grid=grid) for part in labelled.partitions]
    return Row(
        name=name,
        features=descriptors.shape[1],
        values={measure: tuple(values[measure] for values, _, _ in found) for measure in found[0][0]},
        per_class={
            label: _mean([each[number] for _, each, _ in found]) for number, label in enumerate(labelled.classes)
        },
        costs=tuple(cost for _, _, cost in found),
    )


def refuse_costs(grid: Sequence[float]) -> None:
    """ConfigError, code OPTION-VALUE, where a C is not above 0, or there is none."""
    if not grid or not all(0 < cost < math.inf for cost in grid):
        raise ConfigError(f"C is one of {list(grid)}", code="OPTION-VALUE", hint="Give numbers above 0: --costs 1 10.")


def refuse_unlearnable(labelled: Labelled, *, seed: int) -> None:
    """DataError, code DATA-TOO-FEW, where a class cannot be learnt in a partition; no descriptor is needed for that."""
    for part in labelled.partitions:
        linear_svm.refuse_unlearnable(
            labelled.truth[part.train], strata=labelled.strata(part.train), classes=labelled.classes, seed=seed
        )


def joined(name: str, rows: Sequence[Row]) -> Row:
    """Rows of equal kind, such as one of each seed, as one with the values of all."""
    first = rows[0]
    return Row(
        name=name,
        features=first.features,
        values={measure: tuple(value for row in rows for value in row.values[measure]) for measure in first.values},
        per_class={label: _mean([row.per_class[label] for row in rows]) for label in first.per_class},
        costs=tuple(cost for row in rows for cost in row.costs),
    )


def _on(
    part: Partition, descriptors: Array, labelled: Labelled, *, seed: int, grid: Sequence[float]
) -> tuple[Values, list[float | None], float]:
    by_area = partial(mean_average_precision, rule="area")
    trained = linear_svm.train(
        descriptors[part.train],
        labelled.truth[part.train],
        strata=labelled.strata(part.train),
        goodness=mean_recall if labelled.measure == "mean-class-recall" else by_area,
        seed=seed,
        grid=grid,
    )
    scores, truth = trained.machines.scores(descriptors[part.test]), labelled.truth[part.test]
    if labelled.measure == "mean-class-recall":
        return {"mean-class-recall": mean_recall(scores, truth)}, recalls(scores, truth), trained.cost
    values = {rule: mean_average_precision(scores, truth, rule=rule) for rule in RULES}
    return values, of_classes(scores, truth, rule="area"), trained.cost


def mean_recall(scores: Array, truth: Array) -> float:
    """The mean over classes of the share of a class's images that score highest for it; both are (images, classes)."""
    return fmean(recall for recall in recalls(scores, truth) if recall is not None)


def recalls(scores: Array, truth: Array) -> list[float | None]:
    """The same of each class; None where no image shows it."""
    names = tuple(map(str, range(truth.shape[1])))
    return [entry.recall for entry in metrics.measure(scores, truth.argmax(axis=1), classes=names).per_class]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
