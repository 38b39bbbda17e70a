"""flaxmodels' names and axes (Matthias Wright, github.com/matthias-wright/flaxmodels): VGG16 and VGG19 in HDF5.

Groups are called as in the paper: `conv1_1/weight`, `fc6/bias`. The weights are torchvision's: kernels became HWIO and
matrices (in, out), but the model brings the map to channels first before fc6, so its rows are in PyTorch's order.
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

# flaxmodels.vgg.VGG with normalize=True: RGB from 0 to 1, torchvision's mean and deviation; resizing is the user's
PREPROCESSING = imagenet.MEAN_AND_DEVIATION

KERNEL = "H W I O"
MATRIX = "(I H W) O"


def places(network: Network) -> dict[str, Stored]:
    """Key and axes of every canonical name: conv1_1.weight is conv1_1/weight.

    Raises:
        WeightsError: `network` is no VGG of 3x3 convolutions without batch norm.
    """
    refuse_other_than_plain_vgg(network, program="flaxmodels")
    keys = {name: name.replace(".", "/") for name in shapes(network)}
    return stored(network, keys, kernel=KERNEL, matrix=MATRIX)


def from_flaxmodels(network: Network, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Canonical weights from the arrays of an HDF5 file of flaxmodels.

    Raises:
        WeightsError: flaxmodels has no such network, or arrays are missing, unknown or of another shape.
    """
    return to_ours(network, arrays, places=places(network))
