"""When a finding counts as held: where both intervals say so, Student's over seeds and one over the test images.

Student (W. S. Gosset): The probable error of a mean, Biometrika 6, 1908.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from verydeep.errors import ConfigError
from verydeep.evaluation.metrics import NORMAL_95

Verdict = Literal["held", "not held", "undecided"]

LEVEL = 0.95  # of both intervals, two-sided
LEAST_SEEDS = 3  # two give an interval of 9 deviations to either side, which decides nothing or by luck
NO_LENGTH = 1e-9  # percentage points: shorter intervals are rounding, not certainty


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference and its 95 % interval; percentage points."""

    mean: float
    low: float
    high: float


def over_seeds(differences: Sequence[float]) -> Difference:
    """Student's t interval of paired differences, one for each seed; equal ones give an interval of no length.

    Raises:
        ConfigError: code REPRODUCE-SEEDS; there are fewer than LEAST_SEEDS.
    """
    count = len(differences)
    refuse_few_seeds(count)
    values = np.asarray(differences, dtype=np.float64)
    mean = float(values.mean())
    reach = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * float(values.std(ddof=1)) / math.sqrt(count)
    return Difference(mean, mean - reach, mean + reach)


def over_images(differences: NDArray[np.float64]) -> Difference:
    """The normal interval of paired differences, one for each image [n]: how sure these trained networks differ."""
    mean = float(differences.mean())
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    reach = NORMAL_95 * spread / math.sqrt(len(differences))
    return Difference(mean, mean - reach, mean + reach)


def guesses(error: float, *, images: int, classes: int) -> bool:
    """Whether an error, a fraction, is at most two standard deviations below that of guessing."""
    chance = 1.0 - 1.0 / classes
    return error > chance - 2.0 * math.sqrt(chance * (1.0 - chance) / images)


def refuse_few_seeds(seeds: int) -> None:
    """ConfigError where there are too few seeds to tell a difference from chance."""
    if seeds < LEAST_SEEDS:
        raise ConfigError(
            f"the findings are tested over seeds, and {seeds} is too few: {LEAST_SEEDS} are the least",
            code="REPRODUCE-SEEDS",
            hint=f"Give --seeds {LEAST_SEEDS}, or more.",
        )


def gains(*intervals: Difference) -> Verdict:
    """Whether the second does better: all intervals of its gain lie above 0 (held), or below (not held), or neither."""
    if _is_of_no_length(intervals):
        return "undecided"
    if all(found.low > 0 for found in intervals):
        return "held"
    return "not held" if all(found.high < 0 for found in intervals) else "undecided"


def does_not_gain(*intervals: Difference, margin: float) -> Verdict:
    """Whether the second does no better: held if its gain is surely below `margin`, not held if surely above 0."""
    if _is_of_no_length(intervals):
        return "undecided"
    if all(found.low > 0 for found in intervals):
        return "not held"
    return "held" if all(found.high < margin for found in intervals) else "undecided"


def _is_of_no_length(intervals: Sequence[Difference]) -> bool:
    """Whether errors that are counted came out alike by coincidence: a spread of nothing is not known to be one."""
    return any(found.high - found.low < NO_LENGTH for found in intervals)
