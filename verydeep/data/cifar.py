"""CIFAR-10 and CIFAR-100 through torchvision: 50,000 train and 10,000 test images, RGB 32x32.

A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009. The official files are Python pickles;
torchvision opens them only after their md5 is found right.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from verydeep.data.missing import hint_for_download, missing
from verydeep.data.split import MemorySplit
from verydeep.errors import DataError

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10


def load_cifar10(*, split: Literal["train", "test"], root: Path, download: bool) -> MemorySplit:
    """Ten classes, "airplane" to "truck"."""
    from torchvision.datasets import CIFAR10  # slow to import, and only named data sets need it

    return _load("cifar10", source=CIFAR10, split=split, root=root, download=download)


def load_cifar100(*, split: Literal["train", "test"], root: Path, download: bool) -> MemorySplit:
    """A hundred fine classes, "apple" to "worm"."""
    from torchvision.datasets import CIFAR100

    return _load("cifar100", source=CIFAR100, split=split, root=root, download=download)


def _load(
    name: str, *, source: "type[CIFAR10]", split: Literal["train", "test"], root: Path, download: bool
) -> MemorySplit:
    """The split from ROOT or ROOT/<name>, whichever has torchvision's folder."""
    files = [source.meta["filename"], *(file for file, _ in source.train_list + source.test_list)]
    base: str = source.base_folder
    parents = (root / name, root)
    parent = next((folder for folder in parents if all((folder / base / file).is_file() for file in files)), None)
    if parent is None and not download:
        absent = next(file for file in files if not (root / base / file).is_file())
        searched = [folder / base for folder in parents]
        raise missing(name, file=absent, searched=searched, hint=hint_for_download(name))
    try:
        data = source(parent or root, train=split == "train", download=parent is None)
    except (OSError, RuntimeError) as error:
        if parent is None:
            raise DataError(f"{name}: the download failed: {error}", code="DATA-DOWNLOAD") from error
        raise DataError(
            f"{name}: a file in {parent / base} is not the official one: its md5 differs",
            code="DATA-CORRUPT",
            hint="Remove the folder and fetch it again with --download.",
        ) from error
    images = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))
    return MemorySplit(f"{name} {split}", tuple(data.classes), np.array(data.targets, dtype=np.int64), images)
