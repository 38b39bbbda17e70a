"""Boxes as arrays: corners in pixels, centre and size in units of a crop, and the overlap by which they are judged.

Lengths are continuous: pixel i of a row covers [i, i + 1), and a box from 3 to 5 covers the pixels 3 and 4.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Boxes: TypeAlias = NDArray[np.float64]  # [..., 4]: left, top, right, bottom; the one form outside of training
Centred: TypeAlias = NDArray[np.float64]  # [..., 4]: centre x, centre y, width, height, as the network gives them


def to_centred(corners: Boxes) -> Centred:
    """Corners as centre and size."""
    first, last = corners[..., :2], corners[..., 2:]
    return np.concatenate(((first + last) / 2, last - first), axis=-1)


def to_corners(centred: Centred) -> Boxes:
    """Centre and size as corners; a negative width or height, which a network may well say, is an empty box."""
    centre, half = centred[..., :2], np.maximum(centred[..., 2:], 0.0) / 2
    return np.concatenate((centre - half, centre + half), axis=-1)


def area(corners: Boxes) -> NDArray[np.float64]:
    """Width times height, [...]; 0 for a box that is turned inside out."""
    return np.maximum(corners[..., 2:] - corners[..., :2], 0.0).prod(axis=-1)


def intersection(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """The area that two boxes have in common; the arrays are broadcast."""
    corner = np.maximum(first[..., :2], second[..., :2])
    return area(np.concatenate((corner, np.minimum(first[..., 2:], second[..., 2:])), axis=-1))


def iou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Intersection over union, in [0, 1]; 0 where both boxes are empty. The arrays are broadcast."""
    common = intersection(first, second)
    union = area(first) + area(second) - common
    return np.divide(common, union, out=np.zeros_like(union), where=union > 0)
