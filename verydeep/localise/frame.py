"""Where a crop lies in the image it was cut from: the way of a box into units of the crop, and back.

In these units the crop goes from 0 to 1 in both directions, so a box (centre x, centre y, width, height) is the same
for a crop of 224 pixels and for one of 64. A box that reaches beyond the crop has corners below 0 or above 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verydeep.data.augment import FLIP, LEFT, SCALE, TOP, Augment
from verydeep.data.geometry import MAX_ASPECT, centre_corner, rescaled_size
from verydeep.errors import ConfigError
from verydeep.localise.box import Boxes, Centred, area, intersection, to_centred, to_corners
from verydeep.preprocessing import Preprocessing

Lengths = tuple[float, float]  # (vertical, horizontal)

WHOLE = np.array([0.0, 0.0, 1.0, 1.0])  # the crop itself, as corners in its own units


@dataclass(frozen=True, slots=True)
class Frame:
    """A crop's place: x in units of the crop is `scale[1]` times x in pixels of the image plus `shift[1]`."""

    scale: Lengths  # units of the crop for each pixel of the image as it was decoded
    shift: Lengths  # where the image's corner lies, in units of the crop
    mirrored: bool = False  # the crop was flipped, left and right, after it had been cut

    def enter(self, boxes: Boxes) -> Centred:
        """Corners in pixels of the image as centre and size in units of the crop."""
        return to_centred(self._enter(boxes))

    def leave(self, boxes: Centred) -> Boxes:
        """Centre and size in units of the crop as corners in pixels of the image; nothing is clipped."""
        centred = boxes.copy()
        if self.mirrored:
            centred[..., 0] = 1 - centred[..., 0]
        return (to_corners(centred) - self._four(self.shift)) / self._four(self.scale)

    def seen(self, boxes: Boxes) -> NDArray[np.float64]:
        """The share of each box's area that lies inside the crop, in [0, 1]."""
        own = self._enter(boxes)
        return intersection(own, WHOLE) / area(own)

    def _enter(self, boxes: Boxes) -> Boxes:
        corners = boxes * self._four(self.scale) + self._four(self.shift)
        if self.mirrored:
            corners = np.stack((1 - corners[..., 2], corners[..., 1], 1 - corners[..., 0], corners[..., 3]), axis=-1)
        return corners

    @staticmethod
    def _four(lengths: Lengths) -> NDArray[np.float64]:
        """(vertical, horizontal) for x, y, x, y."""
        return np.array((lengths[1], lengths[0]) * 2)


def centre_frame(size: tuple[int, int], preprocessing: Preprocessing) -> Frame:
    """The frame of the crop that `preprocess.fit` cuts from an image of `size` (h, w)."""
    rescaled, placed = _rescaled(size, smallest=preprocessing.resize, cover=preprocessing.size)
    return cut_at(placed, corner=centre_corner(*rescaled, size=preprocessing.size), size=preprocessing.size)


def random_frame(
    size: tuple[int, int], *, augment: Augment, preprocessing: Preprocessing, draw: NDArray[np.float64]
) -> Frame:
    """The frame of the crop that `augment.augment_image` cuts from an image of `size` (h, w) with the same `draw`."""
    smallest = preprocessing.resize
    if augment.scale is not None:
        low, high = augment.scale
        smallest = low + int(draw[SCALE] * (high - low + 1))
    crop, pad = preprocessing.size, augment.pad
    (height, width), placed = _rescaled(size, smallest=smallest, cover=crop)
    height, width = height + 2 * pad, width + 2 * pad
    if augment.crop == "center":
        top, left = centre_corner(height, width, size=crop)
    else:
        top, left = int(draw[TOP] * (height - crop[0] + 1)), int(draw[LEFT] * (width - crop[1] + 1))
    return cut_at(placed, corner=(top - pad, left - pad), size=crop, mirrored=augment.flip and bool(draw[FLIP] < 0.5))


def whole_frame(size: tuple[int, int], *, smallest: int, cover: tuple[int, int]) -> tuple[tuple[int, int], Frame]:
    """Height and width of a rescaled image that is not cropped, and the frame whose unit is one of its pixels."""
    return _rescaled(size, smallest=smallest, cover=cover)


def cut_at(placed: Frame, *, corner: tuple[float, float], size: tuple[int, int], mirrored: bool = False) -> Frame:
    """The frame of a crop of `size` at `corner` (top, left) of a rescaled image, whose own frame is `placed`."""
    (down, right), (y, x) = placed.scale, placed.shift
    height, width = size
    return Frame((down / height, right / width), ((y - corner[0]) / height, (x - corner[1]) / width), mirrored)


def refuse_unplaced(augment: Augment) -> None:
    """ConfigError for a crop of random size, as GoogLeNet's: it changes the shape of what it shows, and of its box."""
    if augment.crop == "random-size":
        raise ConfigError(
            "boxes are not followed through crops of random size", code="LOCALISE-CROP", hint="Give --crop random."
        )


def _rescaled(size: tuple[int, int], *, smallest: int | None, cover: tuple[int, int]) -> tuple[tuple[int, int], Frame]:
    """What `geometry.rescale` makes of an image of `size`: the new size, and the frame in pixels of the new image."""
    new = rescaled_size(*size, smallest=smallest, cover=cover)
    kept, corner = size, (0, 0)
    if new != size and max(size) > MAX_ASPECT * min(size):
        longest = MAX_ASPECT * min(size)
        kept = (min(size[0], longest), min(size[1], longest))
        corner = centre_corner(*size, size=kept)
        new = rescaled_size(*kept, smallest=smallest, cover=cover)
    scale = (new[0] / kept[0], new[1] / kept[1])
    return new, Frame(scale, (-corner[0] * scale[0], -corner[1] * scale[1]))
