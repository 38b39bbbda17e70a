"""Random changes to training images: scale, crop, flip and colour (section 3.1), each a pure function of its draws.

A sample's draws (`draws.py`) depend on (seed, epoch, sample index) alone. The image path and the batch path apply the
same formulas to them and give the same pixels.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from verydeep.data.draws import draws
from verydeep.data.geometry import centre, centre_corner, rescale, rescale_batch, resize, to_nchw
from verydeep.data.measure import color_components
from verydeep.data.split import Split
from verydeep.errors import ConfigError
from verydeep.preprocessing import Preprocessing

__all__ = [
    "DRAWS",
    "Augment",
    "augment_batch",
    "augment_image",
    "color_shift",
    "drawn",
    "draws",
    "padded",
    "with_components",
]

SCALE, TOP, LEFT, FLIP, AREA, RATIO, COLOR = range(7)  # which draw decides what
DRAWS = COLOR + 4  # the colour shift takes two pairs

AREAS = (0.08, 1.0)  # part of the image that a random-size crop covers (GoogLeNet, arXiv:1409.4842, section 6)
RATIOS = (3 / 4, 4 / 3)  # its width divided by its height (the same section)


@dataclass(frozen=True, slots=True)
class Augment:
    """What may change in a training image, in this order: rescale, pad, crop, flip, colour.

    The crop has the size that the network takes. A random-size crop takes a random part of the unscaled image and
    resizes it, so `scale` and `pad` do not act on it.
    """

    scale: tuple[int, int] | None = None  # smallest side S drawn from [low; high], both included; None: as in testing
    crop: Literal["random", "center", "random-size"] = "random"
    flip: bool = True  # mirrored half of the time
    turns: Literal["random", "alternating"] = "random"  # alternating: each image exactly in every second epoch
    pad: int = 0  # pixels on each side
    border: Literal["black", "mirrored"] = "black"  # what they show; black, as in torchvision's RandomCrop
    color: float = 0.0  # standard deviation of the shift along each principal colour, 0.1 in the paper, 0 = off
    eigenvalues: tuple[float, ...] = ()  # of the training pixels, in pixels squared: see `with_components`
    eigenvectors: tuple[tuple[float, ...], ...] = ()  # one row per eigenvalue

    def __post_init__(self) -> None:
        if self.scale is not None and not (len(self.scale) == 2 and 1 <= self.scale[0] <= self.scale[1]):
            raise ConfigError(f"augment: scale must be (low, high) in pixels, got {self.scale}", code="AUGMENT-INVALID")
        if self.crop not in ("random", "center", "random-size"):
            raise ConfigError(
                f"augment: crop must be random, center or random-size, got {self.crop!r}", code="AUGMENT-INVALID"
            )
        if self.turns not in ("random", "alternating") or self.border not in ("black", "mirrored"):
            raise ConfigError(
                f"augment: turns must be random or alternating and border black or mirrored, "
                f"got {self.turns!r} and {self.border!r}",
                code="AUGMENT-INVALID",
            )
        if self.pad < 0:
            raise ConfigError(f"augment: pad must be 0 or more, got {self.pad}", code="AUGMENT-INVALID")
        if not (math.isfinite(self.color) and self.color >= 0):
            raise ConfigError(f"augment: color must be 0 or more, got {self.color}", code="AUGMENT-INVALID")


def drawn(augment: Augment, *, seed: int, epoch: int, indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """The draws [n, DRAWS] of samples in an epoch.

    With alternating turns the flip is drawn for epoch 0 and turned round in every odd epoch, so that two epochs show
    an image both ways (arXiv:2404.00498, section 3.6).
    """
    found = draws(seed, epoch=epoch, indices=indices, count=DRAWS)
    if augment.turns == "alternating":
        first = draws(seed, epoch=0, indices=indices, count=FLIP + 1)[:, FLIP]
        found[:, FLIP] = (first + 0.5 * (epoch % 2)) % 1.0
    return found


def padded(images: NDArray[np.uint8], augment: Augment, *, axes: tuple[int, int]) -> NDArray[np.uint8]:
    """The images with `augment.pad` pixels around them; `axes` are those of height and width."""
    if not augment.pad:
        return images
    sides = [(augment.pad, augment.pad) if axis in axes else (0, 0) for axis in range(images.ndim)]
    return np.pad(images, sides, mode="reflect" if augment.border == "mirrored" else "constant")


def with_components(augment: Augment, split: Split) -> Augment:
    """`augment` with the principal colours of the training images, if it shifts colours at all."""
    if augment.color == 0:
        return augment
    values, vectors = color_components(split)
    return replace(augment, eigenvalues=values, eigenvectors=vectors)


def augment_image(
    image: NDArray[np.uint8], *, augment: Augment, preprocessing: Preprocessing, draw: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """One image [h, w, c], changed as its `draw` [DRAWS] says, in the network's size: uint8 [h, w, c]."""
    size = preprocessing.size
    if augment.crop == "random-size":
        image = _random_size(image, size=size, draw=draw)
    else:
        image = rescale(image, smallest=_smallest(augment, preprocessing, draw=draw), cover=size)
        image = padded(image, augment, axes=(0, 1))
        if augment.crop == "center":
            image = centre(image, size=size)
        else:
            top, left = (int(x) for x in _corner(*image.shape[:2], size=size, draws_=draw[None])[:, 0])
            image = image[top : top + size[0], left : left + size[1]]
    return image[:, ::-1] if augment.flip and draw[FLIP] < 0.5 else image


def augment_batch(
    images: NDArray[np.uint8], *, augment: Augment, preprocessing: Preprocessing, draw: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """`augment_image` for images [n, c, h, w] of one size with `draw` [n, DRAWS]: the same pixels, many at a time."""
    size = preprocessing.size
    if not len(images):
        return np.empty((0, images.shape[1], *size), dtype=np.uint8)
    jittered = augment.scale is not None and augment.scale[0] != augment.scale[1]
    if augment.crop == "random-size" or jittered:
        one_by_one = zip(images.transpose(0, 2, 3, 1), draw, strict=True)
        return to_nchw(
            [augment_image(image, augment=augment, preprocessing=preprocessing, draw=row) for image, row in one_by_one]
        )
    images = rescale_batch(images, smallest=_smallest(augment, preprocessing, draw=draw[0]), cover=size)
    images = padded(images, augment, axes=(2, 3))
    images = _cut(images, augment=augment, size=size, draw=draw)
    if augment.flip:
        mirrored = draw[:, FLIP] < 0.5
        images[mirrored] = images[mirrored, :, :, ::-1]
    return images


def _cut(
    images: NDArray[np.uint8], *, augment: Augment, size: tuple[int, int], draw: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """One window of `size` from each image [n, c, h, w], as a copy."""
    height, width = images.shape[2:]
    if augment.crop == "center":
        top, left = centre_corner(height, width, size=size)
        return images[:, :, top : top + size[0], left : left + size[1]].copy()
    tops, lefts = _corner(height, width, size=size, draws_=draw)
    windows = sliding_window_view(images, size, axis=(2, 3))  # [n, c, tops, lefts, h, w] without a copy
    return windows[np.arange(len(images)), :, tops, lefts]


def _smallest(augment: Augment, preprocessing: Preprocessing, *, draw: NDArray[np.float64]) -> int | None:
    """The smallest side S in pixels that this sample is rescaled to."""
    if augment.scale is None:
        return preprocessing.resize
    low, high = augment.scale
    return low + int(draw[SCALE] * (high - low + 1))


def _corner(height: int, width: int, *, size: tuple[int, int], draws_: NDArray[np.float64]) -> NDArray[np.int64]:
    """Top and left [2, n] of a window of `size`, every place with the same chance."""
    places = np.array([height - size[0] + 1, width - size[1] + 1])
    return (draws_[:, [TOP, LEFT]] * places).astype(np.int64).T


def _random_size(image: NDArray[np.uint8], *, size: tuple[int, int], draw: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A part of random area and shape, resized to `size`; a part that would not fit is clipped to the image."""
    height, width = image.shape[:2]
    area = (AREAS[0] + draw[AREA] * (AREAS[1] - AREAS[0])) * height * width
    ratio = math.exp(math.log(RATIOS[0]) + draw[RATIO] * math.log(RATIOS[1] / RATIOS[0]))
    part = (
        min(max(round(math.sqrt(area / ratio)), 1), height),
        min(max(round(math.sqrt(area * ratio)), 1), width),
    )
    top, left = (int(x) for x in _corner(height, width, size=part, draws_=draw[None])[:, 0])
    return resize(image[top : top + part[0], left : left + part[1]], size=size)


def color_shift(augment: Augment, draw: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """What is added to every pixel of each image: [n, c] in pixels and RGB order, None if colours stay.

    The sum over the principal colours of normal(0, `color`) * sqrt(eigenvalue) * eigenvector. AlexNet's text writes
    the eigenvalue itself, whose meaning hangs on the unit of the pixels; the square root has the unit of a pixel and
    is what MatConvNet, by the paper's group, computes.
    """
    if augment.color == 0:
        return None
    if not augment.eigenvalues or len(augment.eigenvalues) != len(augment.eigenvectors):
        raise ConfigError(
            "augment: the colour shift needs the principal colours of the training images",
            code="AUGMENT-INVALID",
            hint="Call with_components(augment, split) with the training split first.",
        )
    normal = _normal(draw[:, COLOR : COLOR + 4])
    shift = np.zeros((len(draw), len(augment.eigenvectors[0])))
    for i, (value, vector) in enumerate(zip(augment.eigenvalues, augment.eigenvectors, strict=True)):
        shift += np.outer(normal[:, i] * (augment.color * math.sqrt(value)), vector)
    return shift


def _normal(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two pairs of uniform numbers as four normal ones [n, 4] (Box and Muller, 1958)."""
    radius = np.sqrt(-2 * np.log1p(-uniform[:, :2]))
    angle = 2 * np.pi * uniform[:, 2:]
    return np.concatenate((radius * np.cos(angle), radius * np.sin(angle)), axis=1)
