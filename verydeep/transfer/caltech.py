"""Caltech-101 (Fei-Fei, Fergus, Perona 2004) and Caltech-256 (Griffin, Holub, Perona 2007): a folder for each class.

Both have a class of backgrounds, BACKGROUND_Google and 257.clutter. The VGG paper counts it as a class (102 and 257
classes, appendix B), and so it is here; `background` "drop" leaves it out, as many others do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from verydeep.data.decode import shown
from verydeep.data.missing import missing
from verydeep.data.tree import class_folders, image_files
from verydeep.errors import DataError
from verydeep.transfer.labelled import Labelled, one_each
from verydeep.transfer.partitions import Shares, random_partitions


@dataclass(frozen=True, slots=True)
class Collection:
    """One of the two sets, and how the paper shares it out."""

    folder: str  # in the archive
    background: str
    shares: Shares


COLLECTIONS = {
    "caltech101": Collection("101_ObjectCategories", "BACKGROUND_Google", Shares(partitions=3, train=30, test=50)),
    "caltech256": Collection("256_ObjectCategories", "257.clutter", Shares(partitions=3, train=60, test=None)),
}


def load(
    name: str,
    *,
    root: Path,
    seed: int,
    shares: Shares | None = None,
    background: Literal["keep", "drop"] = "keep",
) -> Labelled:
    """The photographs of "caltech101" or "caltech256" below `root`, in partitions of the paper's sizes.

    Only files directly in a class's folder count: the archive of Caltech-256 has left-over folders inside some.

    Raises:
        DataError: the set is not there, a class has no photographs, or too few.
    """
    collection = COLLECTIONS[name]
    home = _home(name, root)
    classes = [path for path in class_folders(home) if background == "keep" or path.name != collection.background]
    files = [[path for path in image_files(folder) if Path(path).parent == folder.absolute()] for folder in classes]
    for folder, found in zip(classes, files, strict=True):
        if not found:
            raise DataError(f"{shown(folder)} has no images", code="DATA-EMPTY-CLASS", hint="Unpack the archive again.")
    names = tuple(folder.name for folder in classes)
    labels = np.repeat(np.arange(len(classes)), [len(found) for found in files])
    partitions = random_partitions(labels, shares or collection.shares, classes=names, seed=seed)
    images = tuple(path for found in files for path in found)
    return Labelled(name, names, images, one_each(labels, classes=len(names)), partitions, "mean-class-recall")


def _home(name: str, root: Path) -> Path:
    """The folder of class folders."""
    collection = COLLECTIONS[name]
    searched = [root / collection.folder, *(root / name / collection.folder for name in _names(name)), root]
    for place in searched:
        if place.name == collection.folder and place.is_dir():
            return place
    raise missing(
        name,
        file=f"the folder {collection.folder}",
        searched=searched[:-1],
        hint="Unpack the archive there, or say where it is with --data-root DIR.",
    )


def _names(name: str) -> tuple[str, str]:
    """How archives and torchvision call the folder around it."""
    return name, name.replace("caltech", "caltech-")
