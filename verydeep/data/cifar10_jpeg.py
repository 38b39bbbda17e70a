"""CIFAR-10 (JPEG copy): its 60,000 images of 32x32 pixels, saved as JPEG of quality 75, in one NumPy archive.

Labels and order are the official ones, the pixels are not: accuracies on it are not comparable with published ones.
"""

import hashlib
import io
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from verydeep.data.decode import decode
from verydeep.data.missing import missing
from verydeep.data.split import MemorySplit
from verydeep.errors import DataError

NAME = "cifar10-jpeg"
FILE = "cifar10_jpeg.npz"
SHA256 = "e99fab3b731b568d407080dea68c5e8df715d0041504abac2138c513e290e4c3"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")  # as in cifar10
FIRST = {"train": 0, "test": 50_000}  # of a split's images in the archive, which holds them one behind the other
HINT = (
    "It is a copy of this project's own, which cannot be fetched: say where it is with --data-root DIR or "
    "VERYDEEP_DATA, or take the official set, cifar10."
)


def load(*, split: Literal["train", "test"], root: Path, download: bool) -> MemorySplit:
    """The train (50,000) or test (10,000) images of ROOT/cifar10-jpeg; nothing is ever downloaded. Takes seconds."""
    folders = (root / NAME, root)
    path = next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)
    if path is None:
        raise missing(NAME, file=FILE, searched=folders, hint=HINT)
    return read(path, split=split)


def read(path: Path, *, split: Literal["train", "test"], most: int | None = None) -> MemorySplit:
    """The first `most` images of a split, or all of them, from the archive at `path`.

    Raises:
        DataError: code DATA-CORRUPT where the archive is not the one that `SHA256` tells of.
    """
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise DataError(
            f"{path} is not the copy that is known: its SHA-256 is {found}, not {SHA256}",
            code="DATA-CORRUPT",
            hint="Copy it anew.",
        )
    with np.load(io.BytesIO(content)) as archive:  # refuses pickles unless asked for them
        header, data, offsets = archive["header"].tobytes(), archive["data"].tobytes(), archive["offsets"]
        labels = archive[f"{split}_labels"][:most].astype(np.int64)
    starts = offsets[FIRST[split] :]
    images = [
        decode(header + data[start:stop], channels=3)  # all have the same tables, which stand in the header once
        for start, stop in pairwise(starts[: len(labels) + 1])
    ]
    return MemorySplit(f"{NAME} {split}", CLASSES, labels, np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2)))
