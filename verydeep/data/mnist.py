"""MNIST and Fashion-MNIST from their official IDX files: 60,000 train and 10,000 test images, grey 28x28.

Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits, 1998.
H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, arXiv:1708.07747.
File names, checksums and downloads are torchvision's.
"""

import gzip
import hashlib
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from verydeep.data.missing import hint_for_download, missing
from verydeep.data.split import MemorySplit
from verydeep.errors import DataError

if TYPE_CHECKING:
    from torchvision.datasets import MNIST

PREFIX = {"train": "train", "test": "t10k"}  # how the official file names begin
DIGITS = tuple("0123456789")
UINT8 = 8  # IDX type code, third byte of the file


def load_mnist(*, split: Literal["train", "test"], root: Path, download: bool) -> MemorySplit:
    """Handwritten digits, classes "0" to "9"."""
    from torchvision.datasets import MNIST  # slow to import, and only named data sets need it

    folders = (root / "mnist", root / "MNIST" / "raw", root)
    return _load("mnist", source=MNIST, folders=folders, classes=DIGITS, split=split, root=root, download=download)


def load_fashion_mnist(*, split: Literal["train", "test"], root: Path, download: bool) -> MemorySplit:
    """Photographs of clothes, classes "T-shirt/top" to "Ankle boot"."""
    from torchvision.datasets import FashionMNIST

    folders = (root / "fashion-mnist", root / "FashionMNIST" / "raw", root)
    return _load(
        "fashion-mnist",
        source=FashionMNIST,
        folders=folders,
        classes=tuple(FashionMNIST.classes),
        split=split,
        root=root,
        download=download,
    )


def _load(
    name: str,
    *,
    source: "type[MNIST]",
    folders: tuple[Path, ...],
    classes: tuple[str, ...],
    split: Literal["train", "test"],
    root: Path,
    download: bool,
) -> MemorySplit:
    """The split from the first folder that has its files; each file must have its official checksum."""
    checksums = {file: md5 for file, md5 in source.resources if file.startswith(PREFIX[split])}
    folder = _folder_with(checksums, folders)
    if folder is None and download:
        try:
            source(root, download=True)
        except (OSError, RuntimeError) as error:
            raise DataError(f"{name}: the download failed: {error}", code="DATA-DOWNLOAD") from error
        folder = _folder_with(checksums, folders)
    if folder is None:
        file = next(file for file in checksums if not (folders[0] / file).is_file())
        raise missing(name, file=file, searched=folders, hint=hint_for_download(name))
    arrays = {len(array.shape): array for array in (_idx(folder / file, md5) for file, md5 in checksums.items())}
    return MemorySplit(f"{name} {split}", classes, arrays[1].astype(np.int64), arrays[3][:, None])


def _folder_with(files: dict[str, str], folders: tuple[Path, ...]) -> Path | None:
    """The first folder in which all files are present."""
    return next((folder for folder in folders if all((folder / file).is_file() for file in files)), None)


def _idx(path: Path, md5: str) -> NDArray[np.uint8]:
    """The array in a gzipped IDX file: two zero bytes, type, number of axes, axes (big-endian), bytes."""
    packed = path.read_bytes()
    found = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(
            f"{path} is not the official file: its md5 is {found}, not {md5}",
            code="DATA-CORRUPT",
            hint="Remove it and fetch it again with --download.",
        )
    try:
        content = gzip.decompress(packed)
        zero, kind, axes = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{axes}I", content, 4)
        values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise DataError(f"{path} is not an IDX file: {error}", code="DATA-CORRUPT") from error
    if zero != 0 or kind != UINT8:
        raise DataError(f"{path} is not an IDX file of bytes", code="DATA-CORRUPT")
    return values.copy()
