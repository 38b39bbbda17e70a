"""Mean, spread and principal colours of the training pixels."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from verydeep.data.decode import decode
from verydeep.data.split import MemorySplit, Split
from verydeep.errors import DataError

MAX_FILES = 2_000  # files read for an estimate: spread evenly over the split, the same ones every time
CHUNK = 1_000  # images in memory that are widened to float64 at a time


def measure(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, in units of pixels (0..255).

    In memory: over all pixels, exact. On disk: over at most 2,000 images spread evenly over the split, each image
    with equal weight whatever its size. A channel that never varies gets the deviation 1.
    """
    mean, covariance = _mean_and_covariance(split)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
    return tuple(mean.tolist()), tuple(np.where(deviation > 0, deviation, 1.0).tolist())


def color_components(split: Split) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]:
    """Eigenvalues (largest first, in pixels squared) and eigenvectors (one row each) of the pixels' covariance."""
    _, covariance = _mean_and_covariance(split)
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(-values, kind="stable")
    rows = vectors.T[order]
    rows *= np.where(rows.sum(axis=1, keepdims=True) < 0, -1.0, 1.0)  # a sign is free: the same on every machine
    return tuple(np.maximum(values[order], 0).tolist()), tuple(tuple(row) for row in rows.tolist())


def _mean_and_covariance(split: Split) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean [c] and covariance [c, c] of the pixels, every image with equal weight."""
    if not len(split):
        raise DataError(f"{split.name}: there is no image to measure", code="DATA-EMPTY")
    first = np.zeros(split.channels)
    second = np.zeros((split.channels, split.channels))
    images = 0
    for pixels, count in _pixels(split):  # sums of integers below 2**53: exact in any order
        first += count * (pixels.sum(axis=1) / pixels.shape[1])
        second += count * (pixels @ pixels.T / pixels.shape[1])
        images += count
    mean = first / images
    return mean, second / images - np.outer(mean, mean)


def _pixels(split: Split) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Pixels [c, many] and how many images of one size they come from."""
    if isinstance(split, MemorySplit):
        for start in range(0, len(split), CHUNK):
            chunk = split.images[start : start + CHUNK]
            yield chunk.transpose(1, 0, 2, 3).reshape(split.channels, -1).astype(np.float64), len(chunk)
        return
    read = min(len(split), MAX_FILES)
    for i in range(read):
        image = decode(split.paths[i * len(split) // read], channels=split.channels)
        yield image.reshape(-1, split.channels).T.astype(np.float64), 1
