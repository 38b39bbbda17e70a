"""OverFeat's greedy merge: boxes that lie close become one (arXiv:1312.6229, section 4.3), as in appendix A.

OverFeat takes the two boxes of the lowest match score, puts one box in their place, and goes on until the lowest score
is above a threshold. Its match score is "the sum of the distance between centers of the two bounding boxes and the
intersection area", without units and without the threshold's value, and read to the letter an overlap would speak
against a merge. Here the score of two boxes is

    distance of the centres / square root of the mean of their areas  +  1 - intersection / union,

0 for equal boxes and above 1 for boxes that do not touch, whatever the image's size. A merged box is the mean of all
the boxes that it stands for, so that the order of the merges does not weigh, and its rating is the sum of theirs
("computed by cumulatively adding the detection class outputs associated with the input windows").
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verydeep.localise.box import Boxes, area, iou

CLOSE = 0.5  # the threshold of the match score; ours, OverFeat does not print its own
MOST_BOXES = 4096  # of one class in one image: all pairs of them have 134 MB of match scores


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """Boxes [m, 4], each with its rating [m] and how many predictions it stands for [m]; in no special order."""

    boxes: Boxes
    ratings: NDArray[np.float64]
    counts: NDArray[np.int64]

    def best(self) -> int:
        """The box with the highest rating; of equal ones the first."""
        return int(self.ratings.argmax())


def match_score(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """How far two boxes are from being the same; the arrays are broadcast."""
    centres = [(boxes[..., :2] + boxes[..., 2:]) / 2 for boxes in (first, second)]
    distance = np.sqrt(((centres[0] - centres[1]) ** 2).sum(axis=-1))
    side = np.sqrt((area(first) + area(second)) / 2)
    apart = np.divide(distance, side, out=np.full_like(distance, np.inf), where=side > 0)
    return np.where((first == second).all(axis=-1), 0.0, apart + 1 - iou(first, second))


def merge(boxes: Boxes, ratings: NDArray[np.float64], *, close: float = CLOSE) -> Merged:
    """Boxes [n, 4] with `ratings` [n] merged until no two of them have a match score of `close` or less."""
    boxes, ratings = boxes.astype(np.float64), ratings.astype(np.float64)
    counts = np.ones(len(boxes), dtype=np.int64)
    alive = np.ones(len(boxes), dtype=bool)
    scores = np.full((len(boxes), len(boxes)), np.inf)
    for number, box in enumerate(boxes):  # row by row, for all pairs at once take ten times the memory
        scores[number] = match_score(box, boxes)
    np.fill_diagonal(scores, np.inf)
    while alive.sum() > 1:
        first, second = (int(place) for place in sorted(np.unravel_index(scores.argmin(), scores.shape)))
        if first == second or scores[first, second] > close:
            break
        weights = counts[[first, second]]
        boxes[first] = weights @ boxes[[first, second]] / weights.sum()
        ratings[first] += ratings[second]
        counts[first] += counts[second]
        alive[second] = False
        scores[second] = scores[:, second] = np.inf
        scores[first] = scores[:, first] = np.where(alive, match_score(boxes[first], boxes), np.inf)
        scores[first, first] = np.inf
    return Merged(boxes[alive], ratings[alive], counts[alive])
