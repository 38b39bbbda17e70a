"""A data set that stays on the device: order, crops and mirrored images are made there, the same bytes as on the CPU.

The host then hands over no pixel during training. An epoch's images are gathered many batches at a time, so that each
step only takes a slice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor

from verydeep.data.augment import FLIP, LEFT, TOP, Augment, padded
from verydeep.data.batches import Batch, plan
from verydeep.data.device_draws import draws, permutation
from verydeep.data.geometry import centre_corner, rescaled_size
from verydeep.data.split import MemorySplit, Split
from verydeep.preprocessing import Preprocessing

TOGETHER = 65_536  # images gathered at a time, for which as many bytes again are needed
SHARE = 0.4  # of the device's free memory that the images and one gathering may take


@dataclass(frozen=True, slots=True, eq=False)
class Resident:
    """Training images on a device."""

    images: Tensor  # uint8 [n, h, w, c], with the padding around them
    labels: Tensor  # int64 [n]
    mean: Tensor  # float32 [1, c, 1, 1], as `preprocessing` has it
    std: Tensor
    preprocessing: Preprocessing
    augment: Augment


def is_simple(split: Split, *, preprocessing: Preprocessing, augment: Augment) -> bool:
    """Whether a device can make the batches: images in memory, of the size they are read in, and no drawn scale."""
    if not isinstance(split, MemorySplit) or split.channels != preprocessing.channels or preprocessing.color == "BGR":
        return False
    if augment.crop == "random-size" or augment.scale is not None or augment.color > 0:
        return False
    height, width = split.images.shape[2:]
    size = rescaled_size(height, width, smallest=preprocessing.resize, cover=preprocessing.size)
    return size == (height, width)


def bytes_needed(split: MemorySplit, augment: Augment) -> int:
    """What the images and one gathering of them take on the device."""
    images, channels, height, width = split.images.shape
    pixels = channels * (height + 2 * augment.pad) * (width + 2 * augment.pad)
    return pixels * (images + min(images, TOGETHER))


def resident(
    split: MemorySplit, *, preprocessing: Preprocessing, augment: Augment, device: torch.device
) -> Resident | None:
    """The images brought to the device; None where its free memory is too small for them."""
    if device.type == "cuda" and bytes_needed(split, augment) > SHARE * torch.cuda.mem_get_info(device)[0]:
        return None
    images = padded(split.images, augment, axes=(2, 3)).transpose(0, 2, 3, 1)
    return Resident(
        images=torch.from_numpy(np.ascontiguousarray(images)).to(device),
        labels=torch.from_numpy(split.labels).to(device),
        mean=torch.tensor(preprocessing.mean, dtype=torch.float32, device=device)[None, :, None, None],
        std=torch.tensor(preprocessing.std, dtype=torch.float32, device=device)[None, :, None, None],
        preprocessing=preprocessing,
        augment=augment,
    )


def resident_batches(
    held: Resident, *, batch: int, seed: int, epoch: int, start: int = 0, rank: int = 0, world: int = 1
) -> Iterator[Batch]:
    """The batches that `batches` gives for the same numbers, with tensors on the device; maps are channels last."""
    order = permutation(len(held.labels), seed=seed, epoch=epoch, device=held.images.device)
    parts = plan(len(held.labels), batch)[start:]
    for block in _blocks(parts):
        shares = [order[int(part[0]) : int(part[-1]) + 1][rank::world] for part in block]
        gathered = torch.cat(shares)
        pixels = _changed(held, gathered, seed=seed, epoch=epoch)
        labels = held.labels[gathered]
        edges = accumulate((len(share) for share in shares), initial=0)
        for (first, end), part in zip(pairwise(edges), block, strict=True):
            yield Batch(
                images=_normalised(pixels[first:end], held),
                labels=labels[first:end],
                indices=gathered[first:end],
                total=len(part),
            )


def _blocks(parts: list[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Parts in a row, of at most TOGETHER images unless a single part has more."""
    block: list[np.ndarray] = []
    for part in parts:
        if block and sum(map(len, block)) + len(part) > TOGETHER:
            yield block
            block = []
        block.append(part)
    if block:
        yield block


def _changed(held: Resident, indices: Tensor, *, seed: int, epoch: int) -> Tensor:
    """The images at `indices`, cropped and mirrored as `augment_batch` does: uint8 [n, h, w, c]."""
    augment, device = held.augment, indices.device
    height, width = held.preprocessing.size
    tall, wide = held.images.shape[1:3]
    rows = torch.arange(height, device=device).expand(len(indices), height)
    columns = torch.arange(width, device=device).expand(len(indices), width)
    if augment.flip:
        mirrored = _mirrored(augment, indices, seed=seed, epoch=epoch)
        columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    if augment.crop == "center":
        top, left = centre_corner(tall, wide, size=(height, width))
        rows, columns = rows + top, columns + left
    else:
        tops, lefts = (
            (draws(seed, epoch=epoch, indices=indices, which=which) * places).long()
            for which, places in ((TOP, tall - height + 1), (LEFT, wide - width + 1))
        )
        rows, columns = rows + tops[:, None], columns + lefts[:, None]
    return held.images[indices[:, None, None], rows[:, :, None], columns[:, None, :]]


def _mirrored(augment: Augment, indices: Tensor, *, seed: int, epoch: int) -> Tensor:
    """Which images are mirrored, bool [n]."""
    alternating = augment.turns == "alternating"
    half = draws(seed, epoch=0 if alternating else epoch, indices=indices, which=FLIP) < 0.5
    return ~half if alternating and epoch % 2 else half


def _normalised(pixels: Tensor, held: Resident) -> Tensor:
    """uint8 [n, h, w, c] as the float32 [n, c, h, w] that the network takes, with the roundings of `normalise`."""
    values = pixels.permute(0, 3, 1, 2).float().sub_(held.mean)
    return values.div_(held.std) if any(deviation != 1.0 for deviation in held.preprocessing.std) else values
