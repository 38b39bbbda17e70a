"""When a finding counts as held: Student's paired t interval over seeds, and beside it one over the test images.

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


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference and its 95 % interval; percentage points."""

    mean: float
    low: float
    high: float


def over_seeds(differences: Sequence[float]) -> Difference:
    """Student's t interval of paired differences, one for each seed; equal ones give an interval of no length.

    Raises:
        ConfigError: code REPRODUCE-SEEDS; a single difference has no spread.
    """
    count = len(differences)
    refuse_single_seed(count)
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


def refuse_single_seed(seeds: int) -> None:
    """ConfigError where there is no second seed to tell a difference from chance."""
    if seeds < 2:
        raise ConfigError(
            f"the findings are tested over seeds, and {seeds} is too few: 2 are the least",
            code="REPRODUCE-SEEDS",
            hint="Give --seeds 3, or more.",
        )


def gains(found: Difference) -> Verdict:
    """Whether the second does better: its gain's interval lies above 0 (held), below it (not held), or holds it."""
    if found.low > 0:
        return "held"
    return "not held" if found.high < 0 else "undecided"


def does_not_gain(found: Difference, *, margin: float) -> Verdict:
    """Whether the second does no better: not held if its gain is surely above 0, held if surely below `margin`."""
    if found.low > 0:
        return "not held"
    return "held" if found.high < margin else "undecided"
