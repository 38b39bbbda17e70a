"""The images of a split at one test scale, whole and uncropped, in batches of equal shape."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from verydeep.data.augment import DRAWS
from verydeep.data.geometry import MAX_ASPECT, rescaled_size
from verydeep.data.loader import Job, Reader, read
from verydeep.data.preprocess import fit_batch
from verydeep.data.split import FileSplit, MemorySplit, Split
from verydeep.preprocessing import Preprocessing
from verydeep.spec import Pair

WAITING = 2**28  # bytes of rescaled pixels that are held at a time, one image at least


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """Images of one shape, and where in the split they are."""

    indices: NDArray[np.int64]  # [n]
    pixels: NDArray[np.uint8]  # [n, c, h, w]


def alike(
    split: Split,
    *,
    indices: NDArray[np.int64],
    scale: int | None,
    preprocessing: Preprocessing,
    at_once: Callable[[Pair], int],
    workers: int = 0,
) -> Iterator[Alike]:
    """Each of the images at `indices` once, rescaled to smallest side `scale` and whole; None is its own size.

    Args:
        split: Images in memory, all of one size, or files of any size.
        indices: Which of them.
        scale: Q in pixels.
        preprocessing: The channels, and the least size of an image: it is made large enough for the crop.
        at_once: How many images of a size (height, width) may come together.
        workers: Processes that decode files.

    Raises:
        DataError: an image cannot be read.
    """
    uncropped = replace(preprocessing, resize=scale, crop="none")
    if isinstance(split, MemorySplit):
        return _from_memory(split, indices=indices, preprocessing=uncropped, at_once=at_once)
    return _from_files(split, indices=indices, preprocessing=uncropped, at_once=at_once, workers=workers)


def shape_at(image: Pair, *, scale: int | None, preprocessing: Preprocessing) -> Pair:
    """The (height, width) that `alike` gives an image of another size."""
    same = rescaled_size(*image, smallest=scale, cover=preprocessing.size)
    if same == image:
        return same
    longest = MAX_ASPECT * min(image)
    return rescaled_size(min(image[0], longest), min(image[1], longest), smallest=scale, cover=preprocessing.size)


def _from_memory(
    split: MemorySplit,
    *,
    indices: NDArray[np.int64],
    preprocessing: Preprocessing,
    at_once: Callable[[Pair], int],
) -> Iterator[Alike]:
    height, width = split.images.shape[2:]
    shape = shape_at((height, width), scale=preprocessing.resize, preprocessing=preprocessing)
    many = min(at_once(shape), max(1, WAITING // (preprocessing.channels * prod(shape))))
    for first in range(0, len(indices), many):
        part = indices[first : first + many]
        yield Alike(part, fit_batch(split.images[part], preprocessing))


def _from_files(
    split: FileSplit,
    *,
    indices: NDArray[np.int64],
    preprocessing: Preprocessing,
    at_once: Callable[[Pair], int],
    workers: int,
) -> Iterator[Alike]:
    """Images wait for others of their shape, as many as may come together or as there is room for."""
    jobs = ([Job(split.paths[index], np.zeros(DRAWS))] for index in indices)
    waiting: dict[Pair, list[tuple[int, NDArray[np.uint8]]]] = {}
    held = 0
    for index, pixels in zip(indices, read(jobs, reader=Reader(preprocessing, None), workers=workers), strict=True):
        shape = pixels.shape[2], pixels.shape[3]
        waiting.setdefault(shape, []).append((int(index), pixels))
        held += pixels.nbytes
        full = len(waiting[shape]) >= at_once(shape)
        while full or held > WAITING:
            fullest = shape if full else max(waiting, key=lambda one: len(waiting[one]))
            group = _together(waiting.pop(fullest))
            held, full = held - group.pixels.nbytes, False
            yield group
    for group in waiting.values():
        yield _together(group)


def _together(group: list[tuple[int, NDArray[np.uint8]]]) -> Alike:
    return Alike(
        np.array([index for index, _ in group], dtype=np.int64), np.concatenate([pixels for _, pixels in group])
    )
