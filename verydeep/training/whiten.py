"""A first layer that whitens: its kernels make the patches of the training images uncorrelated, of variance 1 each.

Page 2018 and hlb-CIFAR10, as described in arXiv:2404.00498, section 3.2: every principal patch divided by its deviation
is one kernel, and its negative another, because the ReLU that follows would drop half of what a kernel says.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from verydeep.data.batches import batches
from verydeep.data.split import Split, take
from verydeep.errors import ConfigError
from verydeep.preprocessing import Preprocessing
from verydeep.spec import Conv, Network, walk
from verydeep.weights.initial import Array

IMAGES = 5_000  # that the patches are taken from, spread evenly over the training images (section 3.2)
EPSILON = 5e-4  # added to each variance, so that no kernel of almost constant patches blows up noise
TOGETHER = 500  # images whose patches are in memory as float64 at a time


@dataclass(frozen=True, slots=True)
class Whitening:
    """The layer whose kernels whiten."""

    name: str
    kernel: tuple[int, int]


def whitening(network: Network) -> Whitening:
    """The first layer of a network, if its kernels can whiten; ConfigError WHITEN if not."""
    step = next(iter(walk(network)))
    layer, channels = step.layer, step.before.shape[0]
    if not isinstance(layer, Conv):
        found = f"{layer.name} is no convolution"
    else:
        needed = 2 * channels * layer.kernel[0] * layer.kernel[1]
        found = "" if layer.channels == needed else f"{layer.name} has {layer.channels} channels and needs {needed}"
        found = f"{layer.name} has groups" if layer.groups > 1 else found
    if found or not isinstance(layer, Conv):
        raise ConfigError(
            f"the first layer of {network.name} cannot whiten: {found}",
            code="WHITEN",
            hint="Give --no-whiten, or take a network that is made for it: --net airbench94_relu.",
        )
    return Whitening(layer.name, layer.kernel)


def whitening_kernels(
    split: Split, *, preprocessing: Preprocessing, kernel: tuple[int, int], device: torch.device
) -> Array:
    """Kernels (2 * c * kh * kw, c, kh, kw), float32, from training images as the network reads them, unchanged."""
    count = min(len(split), IMAGES)
    chosen = take(split, np.arange(count) * len(split) // count)
    shown = batches(chosen, preprocessing=preprocessing, augment=None, batch=TOGETHER, seed=0, epoch=0, shuffle=False)
    moment = second_moment((part.images.to(device) for part in shown), kernel)
    return kernels_of(moment, shape=(preprocessing.channels, *kernel))


def second_moment(images: Iterable[Tensor], kernel: tuple[int, int]) -> Tensor:
    """The mean of x x' over all patches x of the images, float64 [c * kh * kw, c * kh * kw]; no mean is taken off."""
    total, patches = torch.zeros(()), 0
    for part in images:
        columns = functional.unfold(part.double(), kernel).transpose(0, 1).flatten(1)  # [c * kh * kw, patches]
        total = columns @ columns.T + total.to(columns)
        patches += columns.shape[1]
    return total / patches


def kernels_of(moment: Tensor, *, shape: tuple[int, int, int], epsilon: float = EPSILON) -> Array:
    """The principal patches, largest variance first, each divided by its deviation; then their negatives."""
    variances, patches = np.linalg.eigh(moment.cpu().numpy())
    kernels = (patches / np.sqrt(variances + epsilon)).T[::-1]
    kernels *= np.where(kernels.sum(axis=1, keepdims=True) < 0, -1.0, 1.0)  # a sign is free: the same on every machine
    return np.concatenate((kernels, -kernels)).reshape(-1, *shape).astype(np.float32)
