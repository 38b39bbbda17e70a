"""MatConvNet's names and axes (vlfeat.org/matconvnet/pretrained): imagenet-vgg-verydeep-16 and -19, as simplenn.

Layers are called as in the paper; cell 0 of `weights` is the kernel, HWIO, cell 1 the bias. There are no matrices: fc6
is a convolution of 7x7, fc7 and fc8 are of 1x1. MATLAB drops axes of length 1 at the end and makes rows of vectors.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from verydeep.errors import ConfigError, WeightsError
from verydeep.preprocessing import Preprocessing
from verydeep.spec import Network
from verydeep.weights import caffe, imagenet
from verydeep.weights.form import refuse_other_than_plain_vgg
from verydeep.weights.layout import Stored, stored, to_ours

Array = npt.NDArray[Any]

KERNEL = "H W I O"

# The weights are Oxford's with conv1_1 turned to RGB. vl_simplenn's notes subtract `meta.normalization.averageImage`
# and squash to 224x224 with `interpolation`, "bicubic" in some releases; we keep the aspect ratio and stay bilinear.
PREPROCESSING = replace(imagenet.MEAN_PIXEL, color="RGB", mean=imagenet.MEAN_PIXEL.mean[::-1])


def places(network: Network) -> dict[str, Stored]:
    """Key and axes of every canonical name: fc6.weight is fc6/0.

    Raises:
        WeightsError: `network` is no VGG of 3x3 convolutions without batch norm.
    """
    refuse_other_than_plain_vgg(network, program="MatConvNet")
    return stored(network, caffe.keys(network), kernel=KERNEL, matrix=KERNEL)


def from_matconvnet(network: Network, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Canonical weights from the cells of a simplenn network.

    Raises:
        WeightsError: MatConvNet has no such network, or cells are missing, unknown or of another shape.
    """
    found = places(network)
    axes = {place.key: len(place.shape) for place in found.values()}
    return to_ours(network, {key: _as_meant(array, axes.get(key, 0)) for key, array in arrays.items()}, places=found)


def preprocessing(network: Network, average: Any = None) -> Preprocessing | None:
    """How MatConvNet feeds these weights.

    Args:
        network: Whose weights.
        average: The file's own averageImage, a colour or an image, of which the mean colour counts; None: it has none.

    Raises:
        WeightsError: `average` is no colour and no image.
    """
    record = PREPROCESSING
    if average is not None:
        try:
            color = np.asarray(average, np.float64).reshape(-1, 3).mean(axis=0)
            record = replace(record, mean=tuple(float(value) for value in color))
        except (ValueError, ConfigError):
            raise WeightsError(
                "averageImage is no colour and no image",
                code="WEIGHTS-CORRUPT",
                hint="Copy or download the file again.",
            ) from None
    return imagenet.where_it_applies(record, network)


def _as_meant(array: Array, axes: int) -> Array:
    """The cell with the axes that MATLAB dropped or added."""
    if axes == 1 and max(array.shape, default=0) == array.size:
        return array.reshape(-1)
    return array.reshape(array.shape + (1,) * (axes - array.ndim))
