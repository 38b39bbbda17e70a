"""Images with boxes around their objects: the one record that every loader gives and all of localisation reads."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from verydeep.data.decode import shown
from verydeep.data.split import FileSplit, Split, map_classes, take, with_channels
from verydeep.errors import DataError
from verydeep.localise.box import Boxes


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """A split whose images have one class each, and for each image the boxes of all objects of that class in it.

    Boxes are corners in pixels of the image as it is decoded, upright and before any rescaling. An image in which
    objects of several classes were marked, as in VOC, comes once for each class.

    Raises:
        DataError: code BOXES-INVALID, an image has no box, or a box is inverted, empty or reaches outside the image.
    """

    split: Split
    sizes: NDArray[np.int64]  # [n, 2]: height and width of each image in pixels
    boxes: tuple[Boxes, ...]  # [n] of [k, 4], k >= 1
    left_out: int = 0  # objects that the loader was asked to pass over, because their box cannot be

    def __post_init__(self) -> None:
        if not len(self.split) == len(self.sizes) == len(self.boxes):
            found = f"{len(self.split)} images, {len(self.sizes)} sizes, {len(self.boxes)} lists of boxes"
            raise DataError(f"{self.split.name}: {found}", code="BOXES-INVALID")
        for number, (size, boxes) in enumerate(zip(self.sizes, self.boxes, strict=True)):
            why = fault(boxes, size=(int(size[0]), int(size[1])))
            if why:
                raise DataError(f"{self.name_of(number)}: {why}", code="BOXES-INVALID")

    def __len__(self) -> int:
        return len(self.split)

    def name_of(self, number: int) -> str:
        """What messages call an image."""
        if isinstance(self.split, FileSplit):
            return shown(self.split.paths[number])
        return f"{self.split.name}, image {number}"


def fault(boxes: Boxes, *, size: tuple[int, int]) -> str:
    """What is wrong with the boxes [k, 4] of an image of `size` (h, w); empty where nothing is."""
    if not len(boxes):
        return "it has no box"
    for box in boxes:
        left, top, right, bottom = box
        text = f"the box from ({left:g}, {top:g}) to ({right:g}, {bottom:g})"
        if not np.isfinite(box).all():
            return f"{text} is not finite"
        if right <= left or bottom <= top:
            return f"{text} is inverted or empty"
        if left < 0 or top < 0 or right > size[1] or bottom > size[0]:
            return f"{text} reaches outside the image of {size[1]}x{size[0]}"
    return ""


def suited(data: Annotated, *, classes: tuple[str, ...], channels: int) -> Annotated:
    """The data as grey (1) or RGB (3) images, with labels matched by name onto `classes`.

    Raises:
        DataError: a class of the data is not among them.
    """
    return replace(data, split=map_classes(with_channels(data.split, channels), classes))


def part(data: Annotated, indices: NDArray[np.int64]) -> Annotated:
    """The images at `indices`, in that order."""
    return replace(
        data,
        split=take(data.split, indices),
        sizes=data.sizes[indices],
        boxes=tuple(data.boxes[index] for index in indices),
    )
