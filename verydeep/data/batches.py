"""Batches for training and evaluation: order and augmentation are pure functions of (seed, epoch, sample index).

So the number of workers, kills and resumes cannot change what a network sees, and the state of the loader is one
integer: the number of the batch to begin with.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from verydeep.data.augment import DRAWS, Augment, augment_batch, color_shift, drawn
from verydeep.data.draws import bits, draws
from verydeep.data.loader import Job, Reader, read
from verydeep.data.preprocess import fit_batch, normalise
from verydeep.data.split import MemorySplit, Split
from verydeep.errors import ConfigError
from verydeep.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The part of one global batch that this process computes; with several ranks it may be empty."""

    images: Tensor  # float32 [n, c, h, w], ready for the network
    labels: Tensor  # int64 [n]
    indices: NDArray[np.int64] | Tensor  # [n], where in the split each image comes from; int64
    total: int  # images in the global batch, over all ranks


def permutation(n: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order in which epoch `epoch` shows the n samples."""
    keys = bits(seed, stream="order", epoch=epoch, indices=np.arange(n), count=1)[:, 0]
    return np.argsort(keys, kind="stable")


def plan(n: int, batch: int) -> list[NDArray[np.int64]]:
    """Positions 0 .. n-1 cut into ceil(n / batch) parts of nearly equal size: each sample once, no small last batch.

    No part holds a single sample (batch normalisation cannot use it) unless n or batch is 1: an odd n in batches
    of 2 has one batch of 3.
    """
    if batch < 1:
        raise ConfigError(f"the batch size must be 1 or more, got {batch}", code="CONFIG-VALUE")
    if n == 0:
        return []
    parts = n // 2 if batch == 2 and n > 1 else math.ceil(n / batch)
    return np.array_split(np.arange(n), parts)


def batches(
    split: Split,
    *,
    preprocessing: Preprocessing,
    augment: Augment | None,
    batch: int,
    seed: int,
    epoch: int,
    start: int = 0,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    shuffle: bool = True,
) -> Iterator[Batch]:
    """The batches of one epoch, from number `start` on, that rank `rank` of `world` computes.

    Each global batch is shared out as indices[rank::world]. Without `augment` the images are made as in testing;
    without `shuffle` they come in the split's order. `workers` processes decode files; a set in memory needs none.
    """
    if split.channels != preprocessing.channels:
        raise ConfigError(
            f"{split.name}: images have {split.channels} channels and the network takes {preprocessing.channels}",
            code="DATA-CHANNELS",
            hint="Convert the split with with_channels.",
        )
    if not 0 <= rank < world:
        raise ConfigError(f"rank must lie in 0 .. {world - 1}, got {rank}", code="CONFIG-VALUE")
    if start < 0 or workers < 0:
        raise ConfigError(f"start and workers must be 0 or more, got {start} and {workers}", code="CONFIG-VALUE")
    order = permutation(len(split), seed=seed, epoch=epoch) if shuffle else np.arange(len(split))
    parts = [order[part] for part in plan(len(split), batch)[start:]]
    shares = [part[rank::world] for part in parts]
    return _batches(
        split,
        parts=parts,
        shares=shares,
        preprocessing=preprocessing,
        augment=augment,
        seed=seed,
        epoch=epoch,
        workers=workers,
    )


def _batches(
    split: Split,
    *,
    parts: list[NDArray[np.int64]],
    shares: list[NDArray[np.int64]],
    preprocessing: Preprocessing,
    augment: Augment | None,
    seed: int,
    epoch: int,
    workers: int,
) -> Iterator[Batch]:
    """One Batch per share; pixels come as uint8 from memory or disk and become numbers here, for both in one place."""
    changes = augment or Augment()  # without augmentation nothing looks at the draws
    rows = (drawn(changes, seed=seed, epoch=epoch, indices=share) for share in shares)
    if isinstance(split, MemorySplit):
        pixels = _from_memory(split, shares=shares, drawn=rows, preprocessing=preprocessing, augment=augment)
    else:
        jobs = (
            [Job(split.paths[i], draw) for i, draw in zip(share, draws_, strict=True)]
            for share, draws_ in zip(shares, rows, strict=True)
        )
        pixels = read(jobs, reader=Reader(preprocessing, augment), workers=workers)
    for part, share, images in zip(parts, shares, pixels, strict=True):
        shift = None
        if augment is not None and augment.color > 0:
            shift = color_shift(augment, draws(seed, epoch=epoch, indices=share, count=DRAWS))
        yield Batch(
            images=normalise(images, preprocessing, shift=shift),
            labels=torch.from_numpy(split.labels[share]),
            indices=share,
            total=len(part),
        )


def _from_memory(
    split: MemorySplit,
    *,
    shares: list[NDArray[np.int64]],
    drawn: Iterator[NDArray[np.float64]],
    preprocessing: Preprocessing,
    augment: Augment | None,
) -> Iterator[NDArray[np.uint8]]:
    """The images of each share, uint8 [n, c, h, w]."""
    for share, draw in zip(shares, drawn, strict=True):
        images = split.images[share]
        if augment is None:
            yield fit_batch(images, preprocessing)
        else:
            yield augment_batch(images, augment=augment, preprocessing=preprocessing, draw=draw)
