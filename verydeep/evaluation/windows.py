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
    """The windows in the four corners and the middle of the central square: mirrored too, the ten of AlexNet.

    Its section 4.1 takes them from the central 256x256 of an image whose shorter side is 256, so nothing at the ends of
    a longer image is seen. Where a window is longer than the shorter side, the square is stretched to hold it.
    """
    square = max(min(image), size[0]), max(min(image), size[1])
    top, left = centre_corner(*image, size=square)
    corners = product((0, square[0] - size[0]), (0, square[1] - size[1]))
    return [(top + down, left + across) for down, across in (*corners, *centre(square, size=size))]


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
