"""Rescaling and cutting one decoded image; every path of the package takes its pixels through here."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_ASPECT = 20  # a longer image loses its ends before it is rescaled: 1x5000 at 256 would become 256x1,280,000


def rescaled_size(height: int, width: int, *, smallest: int | None, cover: tuple[int, int]) -> tuple[int, int]:
    """Height and width after the isotropic rescale to smallest side `smallest` (None: its own size).

    The longer side is rounded down, as torchvision does. An image that would then be smaller than `cover` (h, w) on
    either side is instead made just large enough to cover it.
    """
    new_height, new_width = height, width
    if smallest is not None:
        shorter = min(height, width)
        new_height, new_width = int(smallest * height / shorter), int(smallest * width / shorter)
    if new_height >= cover[0] and new_width >= cover[1]:
        return new_height, new_width
    scale = max(cover[0] / height, cover[1] / width)
    return max(cover[0], round(height * scale)), max(cover[1], round(width * scale))


def rescale(image: NDArray[np.uint8], *, smallest: int | None, cover: tuple[int, int]) -> NDArray[np.uint8]:
    """The image [h, w, c] at `rescaled_size`, bilinear with antialiasing; untouched if it has that size already."""
    size = rescaled_size(*image.shape[:2], smallest=smallest, cover=cover)
    if size == image.shape[:2]:
        return image
    if max(image.shape[:2]) > MAX_ASPECT * min(image.shape[:2]):
        longest = MAX_ASPECT * min(image.shape[:2])
        image = centre(image, size=(min(image.shape[0], longest), min(image.shape[1], longest)))
        size = rescaled_size(*image.shape[:2], smallest=smallest, cover=cover)
    return resize(image, size=size)


def rescale_batch(images: NDArray[np.uint8], *, smallest: int | None, cover: tuple[int, int]) -> NDArray[np.uint8]:
    """`rescale` for images [n, c, h, w] of one size, n > 0; the same pixels as one by one."""
    if rescaled_size(*images.shape[2:], smallest=smallest, cover=cover) == images.shape[2:]:
        return images
    return to_nchw([rescale(image, smallest=smallest, cover=cover) for image in images.transpose(0, 2, 3, 1)])


def to_nchw(images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Images [h, w, c] of one size as one array [n, c, h, w]."""
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))


def resize(image: NDArray[np.uint8], *, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The image [h, w, c] at exactly `size` (h, w), bilinear with antialiasing, as Pillow computes it."""
    grey = image.shape[2] == 1
    picture = Image.fromarray(np.ascontiguousarray(image[:, :, 0] if grey else image))
    resized = np.array(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return resized[:, :, None] if grey else resized


def centre_corner(height: int, width: int, *, size: tuple[int, int]) -> tuple[int, int]:
    """Top and left of the central window; halves are rounded to even, as torchvision does."""
    return round((height - size[0]) / 2), round((width - size[1]) / 2)


def centre(image: NDArray[np.uint8], *, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The central window of `size` (h, w) of an image [h, w, c] that covers it."""
    top, left = centre_corner(*image.shape[:2], size=size)
    return image[top : top + size[0], left : left + size[1]]
