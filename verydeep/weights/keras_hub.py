"""Keras-Hub's names and axes (keras.io/keras_hub/api/models/vgg): a backbone, and a head of one of two kinds.

In the released classifiers (pooling "avg") fc1 is a 7x7 convolution, fc2 a 1x1 one, and their scores are averaged over
the map; with pooling "flatten" both are matrices, and `fc1` reads the map with the channels last. Layers are counted by
class, as Keras 3 does. Presets are saved as two files, backbone and head: each alone is refused; load the preset in
Keras and write `classifier.save_weights("vgg.weights.h5")`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from verydeep.errors import WeightsError
from verydeep.spec import Conv, Flatten, Linear, Network, walk
from verydeep.weights import imagenet
from verydeep.weights.form import refuse_other_than_plain_vgg
from verydeep.weights.keras_applications import BY_NUMBER, by_number, counted, keys, layers
from verydeep.weights.layout import Stored, stored, to_ours

Array = npt.NDArray[Any]

# keras_hub.src.utils.timm.preset_loader: timm's mean and deviation; the image converter makes the shorter side 224 and
# crops the other, where timm crops 224 of 256. It smooths nothing when it shrinks; ours does.
PREPROCESSING = replace(imagenet.MEAN_AND_DEVIATION, resize=224)

KERNEL = "H W I O"
MATRIX = "(H W I) O"
AREA = (7, 7)  # of the map that the convolution fc1 reads
BACKBONE = "layers/vgg_backbone/layers"
HEAD = "layers/sequential/layers"


def places(network: Network) -> dict[str, Stored]:
    """Key and axes of every canonical name in a classifier with pooling "avg".

    Raises:
        WeightsError: `network` is no VGG of 3x3 convolutions with three fully connected layers behind a map of 7x7.
    """
    refuse_other_than_plain_vgg(network, program="Keras-Hub")
    *hidden, last = layers(network, Linear)
    area = next(step.before.shape[1:] for step in walk(network) if isinstance(step.layer, Flatten))
    if len(hidden) != 2 or area != AREA:
        raise WeightsError(
            f"{network.name} has no form in Keras-Hub",
            code="WEIGHTS-NO-FORM",
            hint="Its classifiers have three fully connected layers behind a map of 7x7.",
        )
    head = counted(hidden, f"{HEAD}/conv2d") | counted([last], f"{HEAD}/dense")
    return stored(network, _keys(network, head), kernel=KERNEL, matrix=KERNEL, head=MATRIX)


def flatten_places(network: Network) -> dict[str, Stored]:
    """The same with pooling "flatten", where the map may have any size."""
    refuse_other_than_plain_vgg(network, program="Keras-Hub")
    return stored(
        network, _keys(network, counted(layers(network, Linear), f"{HEAD}/dense")), kernel=KERNEL, matrix=MATRIX
    )


def from_keras_hub(network: Network, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Canonical weights of a classifier with pooling "avg"; optimisers are left behind.

    Raises:
        WeightsError: Keras-Hub has no such network, or arrays are missing, unknown or of another shape.
    """
    return to_ours(network, by_number(arrays), places=places(network))


def from_keras_hub_flatten(network: Network, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Canonical weights of a classifier with pooling "flatten"; WeightsError as above."""
    return to_ours(network, by_number(arrays), places=flatten_places(network))


def _keys(network: Network, head: Mapping[str, str]) -> dict[str, str]:
    return keys({**counted(layers(network, Conv), f"{BACKBONE}/conv2d"), **head}, arrays=BY_NUMBER)
