"""Linear support vector machines on descriptors, one against the rest; C is chosen on held-out training images.

The paper says only "linear SVM", with parameters chosen on a fifth of the training images. Here it is scikit-learn's
LinearSVC with the squared hinge and an intercept, in its primal form, whose solver draws nothing at random.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.svm import LinearSVC

from verydeep.data.split import held_out
from verydeep.errors import DataError

Array: TypeAlias = npt.NDArray[Any]
Goodness: TypeAlias = Callable[[Array, Array], float]  # of scores and truth, both (images, classes)

GRID = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # of C, for descriptors of length 1
FRACTION = 0.2  # of the training images, on which C is chosen (appendix B)
ITERATIONS = 10_000  # the most of LIBLINEAR; it needs tens


@dataclass(frozen=True, slots=True, eq=False)
class Machines:
    """One linear function for each class."""

    weights: npt.NDArray[np.float64]  # (classes, features)
    bias: npt.NDArray[np.float64]  # (classes,)

    def scores(self, descriptors: Array) -> npt.NDArray[np.float64]:
        """Above 0 where the class is seen: (images, classes)."""
        return descriptors @ self.weights.T + self.bias


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """Machines of all training images, and how C was chosen."""

    machines: Machines
    cost: float  # C
    held_out: tuple[float, ...]  # how good each C of the grid was on the held-out images


def refuse_unlearnable(truth: Array, *, strata: npt.NDArray[np.int64], classes: Sequence[str], seed: int) -> None:
    """Refuse training images from which `train` could not learn each class, before they have descriptors.

    Raises:
        DataError: code DATA-TOO-FEW; names the class.
    """
    held = held_out(strata, fraction=FRACTION, seed=seed, of="the training images")
    for name, column in zip(classes, truth[~held].T, strict=True):
        if not {-1, 1} <= set(column.tolist()):
            raise DataError(
                f"class {name!r} has no training image that shows it, or none that does not",
                code="DATA-TOO-FEW",
                hint="C is chosen on a fifth of the training images, so a class needs two at least.",
            )


def train(
    descriptors: Array,
    truth: Array,
    *,
    strata: npt.NDArray[np.int64],
    goodness: Goodness,
    seed: int,
    grid: Sequence[float] = GRID,
) -> Trained:
    """Choose C on a fifth of the images and train on all of them with it; of equally good C the smallest.

    Args:
        descriptors: Of the training images, (images, features).
        truth: (images, classes): 1 shows the class, -1 does not, 0 is left out of this class's training.
        strata: A class of each image: the fifth has the same mix.
        goodness: Of scores against truth, higher is better.
        seed: Decides the fifth.
        grid: The C to choose from.

    Raises:
        DataError: code DATA-TOO-FEW; a class has no image to learn from.
    """
    held = held_out(strata, fraction=FRACTION, seed=seed, of="the training images")
    found = tuple(
        goodness(fit(descriptors[~held], truth[~held], cost=cost).scores(descriptors[held]), truth[held])
        for cost in sorted(grid)
    )
    cost = sorted(grid)[int(np.argmax(found))]
    return Trained(fit(descriptors, truth, cost=cost), cost, found)


def fit(descriptors: Array, truth: Array, *, cost: float) -> Machines:
    """One machine for each class, with this C.

    Raises:
        DataError: code DATA-TOO-FEW; no image shows a class, or every one does.
    """
    machines = [_one(descriptors, truth[:, number], cost=cost, number=number) for number in range(truth.shape[1])]
    weights, biases = zip(*machines, strict=True)
    return Machines(np.stack(weights), np.array(biases))


def _one(descriptors: Array, truth: Array, *, cost: float, number: int) -> tuple[Array, float]:
    judged = truth != 0
    if set(truth[judged]) != {-1, 1}:
        raise DataError(
            f"class number {number} has no training image that shows it, or none that does not",
            code="DATA-TOO-FEW",
            hint="C is chosen on a fifth of the training images, so a class needs two at least.",
        )
    machine = LinearSVC(C=cost, dual=False, max_iter=ITERATIONS)  # type: ignore[arg-type] - False is allowed
    machine.fit(descriptors[judged], truth[judged])
    return np.asarray(machine.coef_)[0], float(np.asarray(machine.intercept_)[0])
