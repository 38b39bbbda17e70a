"""How wrong boxes are: the paper's error with the class given, and that of the challenge (ILSVRC) with five guesses.

A box is right when its intersection with an object's box is more than half of their union; exactly half is wrong.
Errors are fractions, not percent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verydeep.localise.annotated import Annotated
from verydeep.localise.box import Boxes, iou

RIGHT_ABOVE = 0.5  # arXiv:1409.1556, appendix A; arXiv:1409.0575, section 4.2
GUESSES = 5  # of the challenge


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """A class and where its object is."""

    label: int  # an index into the classes
    box: Boxes  # [4], corners in pixels of the image
    score: float  # by which guesses of one class were compared
    confidence: float  # the class's probability in the whole image


def is_right(box: Boxes, instances: Boxes) -> bool:
    """Whether a box [4] is that of one of the instances [k, 4]."""
    return bool((iou(box, instances) > RIGHT_ABOVE).any())


def right(boxes: Boxes, data: Annotated) -> NDArray[np.bool_]:
    """Whether each of the boxes [n, 4] is that of an object of its image."""
    return np.array([is_right(box, instances) for box, instances in zip(boxes, data.boxes, strict=True)], dtype=bool)


def ground_truth_error(boxes: Boxes, data: Annotated) -> float:
    """The share of images whose box, [n, 4], is wrong; the class was given."""
    return float(1 - right(boxes, data).mean())


def guessed_error(guesses: Sequence[Sequence[Guess]], data: Annotated) -> float:
    """ILSVRC's error: the share of images of whose first five guesses none has both the class and a right box."""
    wrong = [
        not any(guess.label == label and is_right(guess.box, instances) for guess in image[:GUESSES])
        for image, label, instances in zip(guesses, data.split.labels, data.boxes, strict=True)
    ]
    return float(np.mean(wrong))
