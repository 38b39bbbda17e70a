"""Digits on photographs, with exact boxes: a set for localisation that needs no files.

scikit-learn's 1,797 handwritten digits are laid, in a colour and a size of chance, on random parts of its two sample
photographs (china.jpg and flower.jpg, from Flickr, CC-BY). The digits of train and test are other ones, as in
`data.digits`; the photographs are the same two, cut elsewhere. The box goes around the digit's ink.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from verydeep.data import digits
from verydeep.data.draws import draws
from verydeep.data.geometry import resize
from verydeep.data.split import MemorySplit, Split
from verydeep.localise.annotated import Annotated

SIDE = 80  # pixels of the images
IMAGES = {"train": 4000, "test": 500}
SEED = 0  # part of the data set's definition: another value is another data set
INK = 64  # of 255: what is paler is no part of the digit
LEAST, MOST = 0.35, 0.75  # the side of the pasted digit, as part of the image's
PART = 0.15  # the smallest part of a photograph's height that becomes a background
DIMMED = 2  # what the photographs' brightness is divided by
PALEST = 140  # of 255: the least of a digit's three colours, above the brightest of a photograph

WHICH, PHOTO, ZOOM, DOWN, RIGHT, SIZE, TOP, LEFT, COLOR = range(9)  # which draw decides what
DRAWS = COLOR + 3


@dataclass(frozen=True, slots=True, eq=False)
class Pasted:
    """An image, and where the object in it is."""

    image: NDArray[np.uint8]  # [side, side, 3]
    box: tuple[int, int, int, int]  # left, top, right, bottom


def load(*, split: Literal["train", "test"], root: Path, download: bool) -> Split:
    """The images without their boxes, for a classifier: the set's line in the catalog of data sets."""
    del root, download
    return load_synthetic(split=split).split


def load_synthetic(*, split: Literal["train", "test"], count: int | None = None) -> Annotated:
    """Train (4,000) or test (500) images of 80x80 with the box of their digit; `count` takes the first so many."""
    from sklearn.datasets import load_sample_images  # slow to import, and only this set needs it

    photographs = [np.asarray(photograph) for photograph in load_sample_images().images]
    objects = digits.load(split=split, root=Path(), download=False)
    number = IMAGES[split] if count is None else count
    return paste_all(objects, photographs, count=number, seed=SEED + (split == "test"), side=SIDE)


def paste_all(
    objects: MemorySplit, photographs: list[NDArray[np.uint8]], *, count: int, seed: int, side: int
) -> Annotated:
    """`count` images, image i with an object of `objects` (white on black, one channel) on a part of a photograph.

    Image i is a function of (seed, i) alone, whatever the count.
    """
    rows = draws(seed, epoch=0, indices=np.arange(count), count=DRAWS)
    chosen = (rows[:, WHICH] * len(objects)).astype(np.int64)
    pasted = [
        paste(objects.images[one, 0], _background(photographs, row, side), draw=row)
        for one, row in zip(chosen, rows, strict=True)
    ]
    images = np.ascontiguousarray(np.stack([one.image for one in pasted]).transpose(0, 3, 1, 2))
    split = MemorySplit(f"synthetic {objects.name.split()[-1]}", objects.classes, objects.labels[chosen], images)
    boxes = tuple(np.array([one.box], dtype=np.float64) for one in pasted)
    return Annotated(split, np.full((count, 2), side, dtype=np.int64), boxes)


def paste(ink: NDArray[np.uint8], background: NDArray[np.uint8], *, draw: NDArray[np.float64]) -> Pasted:
    """The object with coverage `ink` [h, w] (255: opaque) on a background [side, side, 3], as its `draw` says.

    The box holds every pixel that the object has changed, and no row or column that it has not.
    """
    side = len(background)
    length = round(side * (LEAST + draw[SIZE] * (MOST - LEAST)))
    cover = resize(ink[:, :, None], size=(length, length))[:, :, 0]
    cover = np.where(cover >= INK, np.minimum(cover.astype(np.int64) * 2, 255), 0)  # the rest is nearly opaque
    down, right = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
    cover = cover[down[0] : down[-1] + 1, right[0] : right[-1] + 1]
    height, width = cover.shape
    top, left = int(draw[TOP] * (side - height + 1)), int(draw[LEFT] * (side - width + 1))
    image = background.copy()
    place = image[top : top + height, left : left + width]
    color = PALEST + draw[COLOR : COLOR + 3] * (255 - PALEST)
    share = cover[:, :, None] / 255
    place[:] = np.rint(share * color + (1 - share) * place).astype(np.uint8)
    return Pasted(image, (left, top, left + width, top + height))


def _background(photographs: list[NDArray[np.uint8]], draw: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """A square part of one of the photographs, [side, side, 3]."""
    photograph = photographs[int(draw[PHOTO] * len(photographs))]
    height, width = photograph.shape[:2]
    length = int(height * (PART + draw[ZOOM] * (1 - PART)))
    top, left = int(draw[DOWN] * (height - length + 1)), int(draw[RIGHT] * (width - length + 1))
    return resize(photograph[top : top + length, left : left + length], size=(side, side)) // DIMMED
