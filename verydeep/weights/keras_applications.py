"""Keras Applications' names and axes (keras.io/api/applications/vgg): VGG16 and VGG19 in any HDF5 file of Keras.

Two ways to name the same arrays. Whole models saved as `.h5`, and weights saved before Keras 3, name the layer:
`block1_conv1/block1_conv1/kernel:0`; the released files, older still, say `block1_conv1/block1_conv1_W_1:0`. Keras 3
(`.weights.h5`, and inside `.keras`) counts the layers of each class: `layers/conv2d_3/vars/0`.

Kernels are HWIO, matrices (in, out), and `fc1` reads the map flattened with the channels last. A file without the
three fully connected layers (`include_top=False`) is no classifier and is refused as one that lacks them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy.typing as npt

from verydeep.errors import WeightsError
from verydeep.spec import Conv, Linear, Network, walk
from verydeep.weights import imagenet
from verydeep.weights.form import refuse_other_than_plain_vgg
from verydeep.weights.layout import Stored, stored, to_ours

Array = npt.NDArray[Any]

PREPROCESSING = (
    imagenet.MEAN_PIXEL
)  # keras.applications.imagenet_utils.preprocess_input, mode "caffe"; it never resizes

KERNEL = "H W I O"
MATRIX = "(H W I) O"
BY_NAME = {"weight": "kernel", "bias": "bias"}
BY_NUMBER = {"weight": "vars/0", "bias": "vars/1"}
NO_WEIGHTS = re.compile(r"optimizer(_weights)?/|(.*/)?(seed_generator|top_level_model_weights)/")
SPELLING = re.compile(r"(model_weights/)?(?P<layer>\w+)/(.*/)?(\w+_)?(?P<array>kernel|bias|W|b)(_\d+)?(:0)?")


def places(network: Network) -> dict[str, Stored]:
    """Key and axes of every canonical name where layers have names: conv1_1.weight is block1_conv1/kernel.

    Raises:
        WeightsError: `network` is no VGG of 3x3 convolutions without batch norm.
    """
    refuse_other_than_plain_vgg(network, program="Keras Applications")
    *hidden, last = layers(network, Linear)
    called = {name: f"block{name.removeprefix('conv').replace('_', '_conv')}" for name in layers(network, Conv)}
    called |= {name: f"fc{number}" for number, name in enumerate(hidden, start=1)} | {last: "predictions"}
    return stored(network, keys(called, arrays=BY_NAME), kernel=KERNEL, matrix=MATRIX)


def counted_places(network: Network) -> dict[str, Stored]:
    """The same where Keras 3 counts the layers: conv1_2.weight is layers/conv2d_1/vars/0; WeightsError as above."""
    refuse_other_than_plain_vgg(network, program="Keras Applications")
    called = counted(layers(network, Conv), "layers/conv2d") | counted(layers(network, Linear), "layers/dense")
    return stored(network, keys(called, arrays=BY_NUMBER), kernel=KERNEL, matrix=MATRIX)


def from_keras(network: Network, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Canonical weights from the arrays of an HDF5 file whose layers have names.

    Raises:
        WeightsError: no VGG, arrays are missing, unknown or of another shape, or two are the same one.
    """
    return to_ours(network, by_name(arrays), places=places(network))


def from_keras3(network: Network, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Canonical weights from the arrays of a file of Keras 3 in which layers are counted; WeightsError as above."""
    return to_ours(network, by_number(arrays), places=counted_places(network))


def by_name(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays under the keys of `places`, however the version of Keras spells them; optimisers are left behind.

    Raises:
        WeightsError: two arrays of the file are the same array of the same layer.
    """
    spelled: dict[str, Array] = {}
    for key, array in by_number(arrays).items():
        found = SPELLING.fullmatch(key)
        name = f"{found['layer']}/{'kernel' if found['array'] in ('kernel', 'W') else 'bias'}" if found else key
        if name in spelled:
            raise WeightsError(
                f"{key} is a second {name}", code="WEIGHTS-MISMATCH", hint="Save the weights of one network alone."
            )
        spelled[name] = array
    return spelled


def by_number(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays without those of optimisers and of random generators."""
    return {key: array for key, array in arrays.items() if not NO_WEIGHTS.match(key)}


def layers(network: Network, kind: type[Conv | Linear]) -> list[str]:
    """The names of the layers of a kind, in the order of computation."""
    return [step.layer.name for step in walk(network) if isinstance(step.layer, kind)]


def counted(names: Iterable[str], path: str) -> dict[str, str]:
    """Keras 3's path of each layer of one class: conv2d, conv2d_1, conv2d_2 ..."""
    return {name: f"{path}_{number}" if number else path for number, name in enumerate(names)}


def keys(called: Mapping[str, str], *, arrays: Mapping[str, str]) -> dict[str, str]:
    """The key of every canonical name, from what layers are called and their arrays."""
    return {f"{ours}.{array}": f"{theirs}/{key}" for ours, theirs in called.items() for array, key in arrays.items()}
