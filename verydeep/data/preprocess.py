"""From a decoded image to the numbers that a network is fed, as its `Preprocessing` says."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.data.geometry import centre, rescale, rescale_batch, to_nchw
from verydeep.errors import DataError
from verydeep.preprocessing import Preprocessing


def fit(image: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """A decoded image [h, w, c] rescaled and, unless the whole is wanted, cropped: uint8 [h, w, c]."""
    image = rescale(image, smallest=preprocessing.resize, cover=preprocessing.size)
    return image if preprocessing.crop == "none" else centre(image, size=preprocessing.size)


def fit_batch(images: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """`fit` for images [n, c, h, w] of one size; the same pixels as one by one."""
    if not len(images):
        return np.empty((0, images.shape[1], *preprocessing.size), dtype=np.uint8)
    images = rescale_batch(images, smallest=preprocessing.resize, cover=preprocessing.size)
    if preprocessing.crop == "none":
        return images
    return centre(images.transpose(2, 3, 0, 1), size=preprocessing.size).transpose(2, 3, 0, 1)


def normalise(
    images: NDArray[np.uint8], preprocessing: Preprocessing, *, shift: NDArray[np.float64] | None = None
) -> Tensor:
    """Images [n, c, h, w] (grey or RGB) as the float32 [n, c, h, w] that the network takes.

    `shift` [n, c], in units of pixels and in RGB order, is added to the pixels of each image first.
    """
    mean = np.broadcast_to(np.array(preprocessing.mean), (len(images), preprocessing.channels))
    if preprocessing.color == "BGR":
        images = images[:, ::-1]
        shift = None if shift is None else shift[:, ::-1]
    offset = mean if shift is None else mean - shift
    values = torch.from_numpy(images.astype(np.float32, order="C"))
    values.sub_(torch.from_numpy(offset.astype(np.float32))[:, :, None, None])
    if any(deviation != 1.0 for deviation in preprocessing.std):
        values.div_(torch.tensor(preprocessing.std, dtype=torch.float32)[None, :, None, None])
    return values


def apply(image: NDArray[np.uint8], preprocessing: Preprocessing) -> Tensor:
    """One decoded image [h, w, c] as the float32 [c, h, w] that the network takes."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != preprocessing.channels:
        found = f"{image.dtype} {list(image.shape)}"
        raise DataError(f"an image must be uint8 [h, w, {preprocessing.channels}], found {found}", code="DATA-INVALID")
    return normalise(to_nchw([fit(image, preprocessing)]), preprocessing)[0]
