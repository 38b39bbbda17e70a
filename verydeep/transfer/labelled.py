"""Images with what they show, and which of them are for training and which for the test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from verydeep.data.split import MemorySplit, Split
from verydeep.errors import DataError
from verydeep.transfer.descriptors import Source

Indices: TypeAlias = npt.NDArray[np.int64]
Measure: TypeAlias = Literal["mean-class-recall", "average-precision"]


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """Which images are for training, and which for the test."""

    train: Indices
    test: Indices


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A data set to which a network's features are transferred."""

    name: str
    classes: tuple[str, ...]
    images: Sequence[Source]
    truth: npt.NDArray[np.int8]  # (images, classes): 1 shows the class, -1 does not, 0 difficult: not asked
    partitions: tuple[Partition, ...]
    measure: Measure  # average precision where an image may show several classes

    def strata(self, images: Indices) -> Indices:
        """One class for each of the images: the rarest among them that it shows, or one more where it shows none.

        So that a part that is held out with this mix has its share of every class.
        """
        shown = self.truth[images] == 1
        rank = np.where(shown, shown.sum(axis=0), len(images) + 1)
        rarest = rank.argmin(axis=1)
        return np.where(shown.any(axis=1), rarest, len(self.classes)).astype(np.int64)


def one_each(labels: Indices, *, classes: int) -> npt.NDArray[np.int8]:
    """Labels (n,) as truth (n, classes): each image shows one class and no other."""
    truth = np.full((len(labels), classes), -1, np.int8)
    truth[np.arange(len(labels)), labels] = 1
    return truth


def from_splits(name: str, train: Split, test: Split) -> Labelled:
    """A set whose training and test images are given."""
    first, second = len(train), len(test)
    if train.classes != test.classes:
        raise DataError(
            f"{name}: its test images have other classes than its training images",
            code="DATA-CLASSES",
            hint=f"Only in one of them: {', '.join(sorted(set(train.classes) ^ set(test.classes))[:10])}.",
        )
    labels = np.concatenate((train.labels, test.labels))
    return Labelled(
        name,
        train.classes,
        (*sources(train), *sources(test)),
        one_each(labels, classes=len(train.classes)),
        (Partition(np.arange(first), np.arange(first, first + second)),),
        "mean-class-recall",
    )


def sources(split: Split) -> Sequence[Source]:
    """The images of a split: files, or arrays [h, w, c]."""
    if isinstance(split, MemorySplit):
        return tuple(split.images.transpose(0, 2, 3, 1))
    return split.paths
