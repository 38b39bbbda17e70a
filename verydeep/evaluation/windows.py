"""Where the crops of a protocol lie: the centre, AlexNet's corners and centre, the paper's grid of five by five."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import TypeAlias

from verydeep.data.geometry import centre_corner

Size: TypeAlias = tuple[int, int]  # (height, width) in pixels
Corner: TypeAlias = tuple[int, int]  # (top, left)

GRID = 5  # positions along each side: 5 x 5 with mirror images are the 50 crops of section 3.2


def centre(image: Size, *, size: Size) -> list[Corner]:
    """The window of `size` in the middle."""
    return [centre_corner(*image, size=size)]


def corners_and_centre(image: Size, *, size: Size) -> list[Corner]:
    """The windows in the four corners and in the middle: with their mirror images, the ten of AlexNet (section 4.1)."""
    bottom, right = image[0] - size[0], image[1] - size[1]
    return [*product((0, bottom), (0, right)), *centre(image, size=size)]


def grid(image: Size, *, size: Size) -> list[Corner]:
    """The windows of a regular grid from corner to corner, row by row; the middle one is the centre crop.

    Positions are rounded to whole pixels, halves to even ones. Where a side has the length of the crop all five lie on
    one another, and each counts.
    """
    tops, lefts = (
        [round((whole - part) * step / (GRID - 1)) for step in range(GRID)]
        for whole, part in zip(image, size, strict=True)
    )
    return list(product(tops, lefts))


WINDOWS: Mapping[str, Callable[..., list[Corner]]] = {
    "center": centre,
    "ten-crop": corners_and_centre,
    "multi-crop": grid,
    "both": grid,
}
