"""A split: images with labels, in memory as uint8 or as files on disk, and what can be done with one."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from verydeep.data.draws import bits
from verydeep.errors import ConfigError, DataError

LUMA = (19595, 38470, 7471)  # ITU-R 601: 0.299, 0.587, 0.114 in units of 1/65536, as Pillow rounds them


@dataclass(frozen=True, slots=True, eq=False)
class MemorySplit:
    """A small set held whole in memory; `images` is uint8 [n, c, h, w] with c = 1 (grey) or 3 (RGB)."""

    name: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]  # [n], an index into `classes`
    images: NDArray[np.uint8]  # [n, c, h, w]

    def __post_init__(self) -> None:
        _check_labels(self.name, labels=self.labels, classes=self.classes)
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or len(self.images) != len(self.labels):
            found = f"{self.images.dtype} {list(self.images.shape)} for {len(self.labels)} labels"
            raise DataError(f"{self.name}: images must be uint8 [n, c, h, w], found {found}", code="DATA-INVALID")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for RGB."""
        return self.images.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class FileSplit:
    """Images that stay on disk: absolute `paths`, to be decoded to `channels` channels when they are needed."""

    name: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]  # [n], an index into `classes`
    paths: tuple[str, ...]  # [n], absolute
    channels: int = 3
    root: str = "/"  # the data set's folder; the fingerprint measures paths from here, so copies have the same one

    def __post_init__(self) -> None:
        _check_labels(self.name, labels=self.labels, classes=self.classes)
        if len(self.paths) != len(self.labels):
            found = f"{len(self.paths)} paths for {len(self.labels)} labels"
            raise DataError(f"{self.name}: {found}", code="DATA-INVALID")

    def __len__(self) -> int:
        return len(self.labels)


Split = MemorySplit | FileSplit
S = TypeVar("S", bound=Split)  # a function of one kind of split returns the same kind


def _check_labels(name: str, *, labels: NDArray[np.int64], classes: tuple[str, ...]) -> None:
    """Labels are int64 [n] and each is an index into `classes`, whose names differ; DataError if not."""
    if labels.dtype != np.int64 or labels.ndim != 1:
        raise DataError(f"{name}: labels must be int64 [n], found {labels.dtype} {labels.shape}", code="DATA-INVALID")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
        found = f"labels from {labels.min()} to {labels.max()} for {len(classes)} classes"
        raise DataError(f"{name}: {found}", code="DATA-INVALID")
    if len(set(classes)) != len(classes):
        raise DataError(f"{name}: a class name is given twice: {sorted(classes)}", code="DATA-INVALID")


def fingerprint(split: Split) -> str:
    """SHA-256 of what the network is shown: the same for copies of a set, another when data or labels change.

    In memory: pixels, labels and classes. On disk: path below `root`, size in bytes, label and classes; a file that
    is edited without changing its size is not noticed (reading all of ImageNet would take an hour).
    """
    digest = hashlib.sha256(repr((split.classes, split.channels, len(split))).encode())
    digest.update(split.labels.astype("<i8").tobytes())
    if isinstance(split, MemorySplit):
        digest.update(repr(split.images.shape).encode())
        digest.update(np.ascontiguousarray(split.images).data)
        return digest.hexdigest()
    for path in split.paths:
        relative = Path(os.path.relpath(path, split.root)).as_posix()
        digest.update(os.fsencode(relative) + b"\0" + str(_size(path)).encode() + b"\0")
    return digest.hexdigest()


def _size(path: str) -> int:
    """Bytes in a file."""
    try:
        return Path(path).stat().st_size
    except OSError as error:
        raise DataError(f"cannot read {path!r}: {error.strerror}", code="IMAGE-UNREADABLE") from error


def take(split: S, indices: NDArray[np.int64] | Sequence[int]) -> S:
    """The samples at `indices`, in that order; the classes stay as they are."""
    chosen = np.asarray(indices, dtype=np.int64)
    if isinstance(split, MemorySplit):
        return replace(split, labels=split.labels[chosen], images=split.images[chosen])
    return replace(split, labels=split.labels[chosen], paths=tuple(split.paths[i] for i in chosen))


def hold_out(split: S, *, fraction: float, seed: int) -> tuple[S, S]:
    """The rest and a held-out part with the same mix of classes: a pure function of (labels, fraction, seed).

    Every class gives its share; what rounding leaves over goes to the classes that lost most by it, so that the
    held-out part has round(fraction * n) images where that is possible. One image of each class stays behind.
    """
    held = held_out(split.labels, fraction=fraction, seed=seed, of=split.name)
    part = take(split, np.flatnonzero(held))
    return take(split, np.flatnonzero(~held)), replace(part, name=f"{split.name} (held out)")


def held_out(labels: NDArray[np.int64], *, fraction: float, seed: int, of: str) -> NDArray[np.bool_]:
    """Which of the images with these labels [n] are held out, as in `hold_out`; `of` names them in errors."""
    if not 0 <= fraction < 1:
        raise ConfigError(f"the held-out fraction must lie in [0, 1), got {fraction}", code="CONFIG-VALUE")
    counts = np.bincount(labels)
    quota = _quota(counts, fraction=fraction)
    if fraction > 0 and not quota.any():
        raise DataError(
            f"{of}: holding out {fraction:g} of {len(labels)} images in {np.count_nonzero(counts)} classes gives none",
            code="DATA-TOO-FEW",
            hint="Give more images per class or a larger fraction.",
        )
    keys = bits(seed, stream="hold out", epoch=0, indices=np.arange(len(labels)), count=1)[:, 0]
    order = np.lexsort((keys, labels))  # class by class, shuffled inside each
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    held = np.zeros(len(labels), dtype=bool)
    held[order] = rank < quota[labels[order]]
    return held


def _quota(counts: NDArray[np.int64], *, fraction: float) -> NDArray[np.int64]:
    """How many images each class gives away: the method of largest remainders, ties to the first class."""
    room = np.maximum(counts - 1, 0)
    exact = np.minimum(counts * fraction, room)
    quota = np.floor(exact).astype(np.int64)
    missing = round(fraction * int(counts.sum())) - int(quota.sum())
    by_loss = np.argsort(-(exact - quota), kind="stable")
    rounded_down = by_loss[(quota < exact)[by_loss]]
    quota[rounded_down[: max(missing, 0)]] += 1
    return quota


def map_classes(split: S, classes: tuple[str, ...]) -> S:
    """The split with its labels matched BY NAME onto `classes`, the list that is stored with a model.

    Fewer classes or another order are fine; a class that the model does not know raises DataError with the difference.
    """
    known, given = set(classes), set(split.classes)
    unknown = [name for name in split.classes if name not in known]
    if unknown:
        absent = [name for name in classes if name not in given]
        raise DataError(
            f"{split.name}: classes that the model does not know: {_listed(unknown)}; "
            f"classes of the model without data: {_listed(absent) if absent else 'none'}",
            code="DATA-CLASSES",
            hint="Rename or remove the class, or train a model that has it.",
        )
    position = np.array([classes.index(name) for name in split.classes], dtype=np.int64)
    return replace(split, classes=tuple(classes), labels=position[split.labels])


def _listed(names: Sequence[str]) -> str:
    """The first ten names, and how many more there are."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(repr(name) for name in names[:10]) + more


def with_channels(split: S, channels: int) -> S:
    """The split as grey (1) or RGB (3) images: grey is repeated, colour becomes ITU-R 601 luma."""
    if channels not in (1, 3):
        raise ConfigError(f"images have 1 or 3 channels, got {channels}", code="CONFIG-VALUE")
    if split.channels == channels:
        return split
    if isinstance(split, FileSplit):
        return replace(split, channels=channels)
    if channels == 3:
        return replace(split, images=np.repeat(split.images, 3, axis=1))
    luma = (np.einsum("nchw,c->nhw", split.images.astype(np.uint32), np.array(LUMA, np.uint32)) + 0x8000) >> 16
    return replace(split, images=luma.astype(np.uint8)[:, None])
