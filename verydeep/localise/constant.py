"""The best box that looks at no image: what a localiser has to beat."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verydeep.localise.annotated import Annotated, part
from verydeep.localise.box import Boxes, iou
from verydeep.localise.error import RIGHT_ABOVE

GRID = 16  # parts of the image's height and width on whose borders the search begins
FINEST = 128  # parts to which it goes on
CHUNK = 128  # candidates compared at once
MOST_OBJECTS = 2_000  # among which the box is searched where a set is of any size


@dataclass(frozen=True, slots=True, eq=False)
class _Objects:
    """All objects of a set, image after image."""

    boxes: Boxes  # [k, 4], corners in pixels
    lengths: NDArray[np.int64]  # [k, 4]: width, height, width, height of the image of each
    firsts: NDArray[np.int64]  # [n], where those of each image begin


def best_constant_box(data: Annotated, *, most: int | None = None) -> Boxes:
    """The box [4], as fractions of the image's width and height, that is right for the most images.

    All boxes on a grid of sixteenths are tried; from the best one the four sides move by halving steps while that
    helps. Of equally good boxes the first is taken. Of data with more than `most` objects the search sees images that
    are drawn by a fixed seed, of so many objects together.
    """
    data = data if most is None else _some(data, most=most)
    objects = _Objects(
        boxes=np.concatenate(data.boxes),
        lengths=np.tile(data.sizes[:, ::-1], 2).repeat([len(boxes) for boxes in data.boxes], axis=0),
        firsts=np.cumsum([0, *(len(boxes) for boxes in data.boxes[:-1])]),
    )
    grid = _grid()
    hits = np.concatenate([_hits(some, objects) for some in np.array_split(grid, len(grid) // CHUNK)])
    best, most = grid[hits.argmax()], hits.max()
    step = 1 / (2 * GRID)
    while step >= 1 / FINEST:
        moved = best + step * np.concatenate((np.eye(4), -np.eye(4)))
        hits = _hits(moved, objects)
        if hits.max() > most:
            best, most = moved[hits.argmax()], hits.max()
        else:
            step /= 2
    return best


def placed_constant(box: Boxes, data: Annotated) -> Boxes:
    """The constant box in each image, [n, 4]: corners in pixels."""
    return box * np.tile(data.sizes[:, ::-1], 2)


def _some(data: Annotated, *, most: int) -> Annotated:
    """Images drawn by chance, as many as have `most` objects together; all of them where that holds."""
    counts = np.array([len(boxes) for boxes in data.boxes])
    if counts.sum() <= most:
        return data
    order = np.random.default_rng(0).permutation(len(data))
    many = max(1, int(np.searchsorted(counts[order].cumsum(), most, side="right")))
    return part(data, np.sort(order[:many]))


def _grid() -> Boxes:
    """Every box on the grid, [many, 4]."""
    edges = np.arange(GRID + 1) / GRID
    pairs = [(first, last) for first in edges for last in edges if first < last]
    return np.array([(left, top, right, bottom) for left, right in pairs for top, bottom in pairs])


def _hits(candidates: Boxes, objects: _Objects) -> NDArray[np.int64]:
    """Of how many images each candidate [m, 4], in parts of the image, meets a box."""
    met = iou(candidates[:, None] * objects.lengths, objects.boxes) > RIGHT_ABOVE  # in pixels, as boxes are judged
    return np.logical_or.reduceat(met, objects.firsts, axis=1).sum(axis=1)
