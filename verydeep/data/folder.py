"""A folder of images, one folder per class: ROOT/train/<class>/* with ROOT/test or ROOT/val, or ROOT/<class>/*."""

from pathlib import Path
from typing import Literal

import numpy as np

from verydeep.data.decode import shown
from verydeep.data.missing import missing
from verydeep.data.split import FileSplit, map_classes
from verydeep.data.tree import SUFFIXES, class_folders, image_files
from verydeep.errors import DataError

TEST_FOLDERS = ("test", "val")  # the first that is there is the test split
LAYOUT = "Expected ROOT/train/<class>/* with ROOT/test/<class>/* or ROOT/val/<class>/*, or ROOT/<class>/* alone."


def load(*, split: Literal["train", "test"], root: Path, download: bool) -> FileSplit:
    """Train or test images below `root`, as RGB; there is nothing to download.

    The classes are the folders of train/ in the order of their code points (so "10" comes before "9"), and test
    images are matched to them by name. With ROOT/<class>/* alone, "train" is all of it and "test" raises
    DataError(code="DATA-NO-TEST"): hold a part out.
    """
    if not root.is_dir():
        hint = f"Give the data set's folder with --data-root DIR. {LAYOUT}"
        raise missing("folder", file="the folder itself", searched=[root], hint=hint)
    train, test = root / "train", next((root / name for name in TEST_FOLDERS if _has_classes(root / name)), None)
    if not _has_classes(train) and test is None:
        if split == "test":
            raise DataError(
                f"{shown(root)} has no test images: neither test/ nor val/ holds class folders",
                code="DATA-NO-TEST",
                hint="Add one of them, or hold out a part of the training images.",
            )
        return read_classes(root, root=root, name=f"{root.name} train")
    if split == "train":
        return read_classes(train, root=root, name=f"{root.name} train")
    if test is None:
        raise DataError(
            f"{shown(root)} has train/ but neither test/ nor val/ with class folders",
            code="DATA-NO-TEST",
            hint="Add one of them, or hold out a part of the training images.",
        )
    return read_test(test, train=train, root=root, name=f"{root.name} test")


def _has_classes(folder: Path) -> bool:
    """Whether it is a folder of class folders (a class may itself be called "train")."""
    return folder.is_dir() and bool(class_folders(folder))


def read_classes(folder: Path, *, root: Path, name: str) -> FileSplit:
    """All images of `folder`/<class>/*; a class without images raises DataError."""
    if not folder.is_dir():
        raise missing(name, file=f"the folder {folder.name}/", searched=[root], hint=LAYOUT)
    classes = class_folders(folder)
    if not classes:
        raise DataError(f"{shown(folder)} has no class folders", code="DATA-EMPTY", hint=LAYOUT)
    return _split(classes, root=root, name=name)


def read_test(folder: Path, *, train: Path, root: Path, name: str) -> FileSplit:
    """The images of `folder`/<class>/* matched by name to the classes of `train`; empty classes are left out."""
    filled = [path for path in class_folders(folder) if image_files(path)]
    if not filled:
        raise DataError(f"{shown(folder)} holds no images", code="DATA-EMPTY", hint=LAYOUT)
    split = _split(filled, root=root, name=name)
    if not _has_classes(train):
        return split
    return map_classes(split, tuple(path.name for path in class_folders(train)))


def _split(classes: list[Path], *, root: Path, name: str) -> FileSplit:
    """The images of the given class folders, labelled in their order."""
    files = [image_files(path) for path in classes]
    empty = [path for path, found in zip(classes, files, strict=True) if not found]
    if empty:
        more = f" and {len(empty) - 10} more" if len(empty) > 10 else ""
        raise DataError(
            f"class folders without images: {', '.join(shown(path) for path in empty[:10])}{more}",
            code="DATA-EMPTY-CLASS",
            hint=f"Remove them or add images ({' '.join(SUFFIXES)}).",
        )
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(found) for found in files])
    paths = tuple(path for found in files for path in found)
    return FileSplit(name, tuple(path.name for path in classes), labels, paths, root=str(root.absolute()))
