"""The contract notices the mistakes that Keras invites: for each, a backend that makes only this one is refused."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy.typing as npt
import pytest

from verydeep.backends import keras3, keras3_layers, keras_words
from verydeep.backends.check import check_network, narrow
from verydeep.backends.keras_words import KerasPadding
from verydeep.backends.odd_networks import ODD_NETWORKS
from verydeep.errors import VerificationError
from verydeep.families.catalog import CATALOG
from verydeep.spec import Network

ODD = {odd.name: odd for odd in ODD_NETWORKS}


def change(kind: type[keras.layers.Layer], **values: Callable[[Any], Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """Give each layer of a kind other values of its attributes, made from the layer."""
    original = keras3.build

    def build(network: Network, arrays: Mapping[str, npt.NDArray[Any]]) -> keras.Model:
        model = original(network, arrays)
        for layer in model.layers:
            if isinstance(layer, kind):
                for name, value in values.items():
                    setattr(layer, name, value(layer))
        return model

    return lambda patch: patch.setattr(keras3, "build", build)


def exchanged_kernels(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(keras3, "as_hwio", lambda array: array.T)
    patch.setattr(keras3, "from_hwio", lambda array: array.T)


def counting(layer: keras3_layers.PaddedPooling2D, inputs: Any) -> Any:
    """What the mean is where the zeros around the map count."""
    return layer._pool(keras.ops.average_pool, inputs, around=0.0)


NORMED = ODD["normalised_vector"]
BatchNormalization = keras.layers.BatchNormalization

MISTAKES: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], Network]] = {
    "batch norm has Keras's epsilon of 1e-3": (change(BatchNormalization, epsilon=lambda layer: 1e-3), NORMED),
    "momentum has Keras's sense": (change(BatchNormalization, momentum=lambda layer: 1 - layer.momentum), NORMED),
    "the running variance is Keras's own, biased": (
        lambda patch: patch.delattr(keras3_layers.UnbiasedBatchNormalization, "call"),
        NORMED,
    ),
    "batch norm is frozen": (change(BatchNormalization, trainable=lambda layer: False), NORMED),
    "Flatten is Keras's own, row, column, channel": (
        lambda patch: patch.setattr(keras.layers.Permute, "call", lambda self, x: x),
        ODD["uneven_convolution"],
    ),
    "a convolution with a stride pads for the same size": (
        lambda patch: patch.setattr(keras_words, "of_conv", lambda layer: KerasPadding("same")),
        narrow("resnet18", CATALOG["resnet18"]),
    ),
    "a kernel's height and width are exchanged": (exchanged_kernels, narrow("vgg11", CATALOG["vgg11"])),
    "LRN's alpha is divided by its size": (
        change(keras3_layers.LocalResponseNormalization, alpha=lambda layer: layer.alpha / layer.size),
        ODD["strong_lrn"],
    ),
    "a padded mean counts its padding": (
        lambda patch: patch.setattr(keras3_layers.PaddedPooling2D, "call", counting),
        ODD["padded_mean"],
    ),
    "a maximum counts the zeros around it": (
        lambda patch: patch.setattr(keras_words, "reads_nonnegative", lambda network: {"pool"}),
        ODD["uneven_maximum"],
    ),
    "new channels all come at the end": (
        change(keras.layers.ZeroPadding2D, padding=lambda layer: ((0, 0), (0, 4))),
        ODD["uneven_channels"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_backend_with_one_mistake_is_refused(monkeypatch: pytest.MonkeyPatch, mistake: str):
    damage, network = MISTAKES[mistake]
    check_network(keras3, network)
    damage(monkeypatch)
    with pytest.raises(VerificationError) as caught:
        check_network(keras3, network)
    assert caught.value.code == "BACKEND-CONTRACT"
