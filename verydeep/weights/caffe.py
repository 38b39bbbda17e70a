"""Caffe's names and axes, for the models that the Oxford group released (VGG_ILSVRC_16_layers, 19 layers).

Layers are called as in the paper, `conv1_1` to `fc8`; blob 0 of each is the weight and blob 1 the bias, in our axes.
Old files store every blob with four axes: a matrix is (1, 1, out, in), a bias (1, 1, 1, out).

No AlexNet: Caffe's divides LRN's alpha by the window and has k = 1 where the paper, and ours, has 2.
"""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from verydeep.spec import Network
from verydeep.weights import imagenet
from verydeep.weights.fit import shapes
from verydeep.weights.form import refuse_other_than_plain_vgg
from verydeep.weights.layout import Stored, stored, to_ours

Array = npt.NDArray[Any]

PREPROCESSING = imagenet.MEAN_PIXEL

KERNEL = "O I H W"
MATRIX = "O (I H W)"
BLOBS = {"weight": "0", "bias": "1"}


def places(network: Network) -> dict[str, Stored]:
    """Key and axes of every canonical name: conv1_1.weight is conv1_1/0.

    Raises:
        WeightsError: `network` is no VGG of 3x3 convolutions without batch norm.
    """
    refuse_other_than_plain_vgg(network, program="Caffe")
    return stored(network, keys(network), kernel=KERNEL, matrix=MATRIX)


def keys(network: Network) -> dict[str, str]:
    """The layer's name and the number of the blob, for every canonical name."""
    return {name: f"{layer}/{BLOBS[array]}" for name in shapes(network) for layer, array in [name.split(".")]}


def from_caffe(network: Network, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Canonical weights from the blobs of a caffemodel.

    Raises:
        WeightsError: Caffe has no such network, or blobs are missing, unknown or of another shape.
    """
    found = places(network)
    axes = {place.key: len(place.shape) for place in found.values()}
    return to_ours(
        network, {key: _without_padding(array, axes.get(key, 4)) for key, array in arrays.items()}, places=found
    )


def _without_padding(array: Array, axes: int) -> Array:
    """The blob without the axes of length 1 that old files put before its own."""
    return array.reshape(array.shape[-axes:]) if set(array.shape[:-axes]) <= {1} else array
