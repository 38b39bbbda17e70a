"""How well scores rank the images that show a class: average precision, by the two rules of PASCAL VOC.

The rules are those of the challenge's development kit (Everingham et al., IJCV 2010): "voc2007-11-point" was used until
2009, "area" since. Both take the best precision at this or any higher recall, so they differ from the average precision
of scikit-learn, which does not, unless precision only falls.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Rule: TypeAlias = Literal["voc2007-11-point", "area"]


def average_precision(scores: Array, truth: Array, *, rule: Rule) -> float | None:
    """The average precision of scores (n,); None where no image shows the class.

    Args:
        scores: High for images that show the class. Equal ones rank in their order here, as in the development kit.
        truth: 1 the image shows the class, -1 it does not, 0 it is difficult to say: such an image is left out.
        rule: "voc2007-11-point": the mean over recalls 0, 0.1, ..., 1; "area": under the precision at every recall.
    """
    ranked = truth[np.argsort(-scores, kind="stable")]
    found, wrong = np.cumsum(ranked == 1), np.cumsum(ranked == -1)
    if not len(found) or not found[-1]:
        return None
    judged = ranked != 0
    recall, precision = found[judged] / found[-1], found[judged] / (found + wrong)[judged]
    return RULES[rule](recall, np.maximum.accumulate(precision[::-1])[::-1])


def mean_average_precision(scores: Array, truth: Array, *, rule: Rule) -> float:
    """The mean over the classes that some image shows; scores and truth are (n, classes).

    At least one class must be shown.
    """
    return float(np.mean([value for value in of_classes(scores, truth, rule=rule) if value is not None]))


def of_classes(scores: Array, truth: Array, *, rule: Rule) -> list[float | None]:
    """The average precision of each class; scores and truth are (n, classes)."""
    return [average_precision(scores[:, k], truth[:, k], rule=rule) for k in range(truth.shape[1])]


def _eleven_points(recall: Array, best: Array) -> float:
    """`best` is the highest precision at this recall or beyond; 0 for a recall that is never reached."""
    reached = [best[recall >= tenth / 10][:1] for tenth in range(11)]
    return float(sum(value.sum() for value in reached) / 11)


def _area(recall: Array, best: Array) -> float:
    return float(np.sum(np.diff(recall, prepend=0.0) * best))


RULES: dict[Rule, Callable[[Array, Array], float]] = {"voc2007-11-point": _eleven_points, "area": _area}
