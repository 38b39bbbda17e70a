"""Mistakes that released libraries made with VGG's weights, each as a test that would find it here.

The missing ReLU after fc6 (eqxvision 0.2.8; Keras-Hub before keras-hub#2618) is in tests/contract/test_sabotage.py for
what we build and in test_same_layers.py for files that list their layers; the ReLU that overwrites what a hook reads
(torchvision) is there as well.
"""

import warnings

import numpy as np
import pytest
import torch

from tests.weights import origins
from verydeep.backends.pytorch import build
from verydeep.errors import WeightsError
from verydeep.families.catalog import network
from verydeep.rewrite.cut import resize
from verydeep.rewrite.dense import dense, dense_weights
from verydeep.weights.formats import FORMATS
from verydeep.weights.importing import import_weights
from verydeep.weights.layout import from_ours

NUMBERS = origins.of_numbers(origins.of_pixels())


def as_tensors(arrays):
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


def logits(network, weights, images):
    with torch.no_grad():
        return build(network, weights).eval()(images)


@pytest.mark.parametrize("name", FORMATS)
def test_no_layer_is_left_as_it_was_drawn(name):
    """Keras-Hub 0.32 converts timm's weights for pooling="flatten" and leaves fc1 and fc2 random."""
    places = FORMATS[name].places(origins.NET)
    state = from_ours(origins.NET, NUMBERS, places=places)
    marked = {key: np.arange(array.size, dtype=np.float32).reshape(array.shape) + 1 for key, array in state.items()}
    found = import_weights(marked, origins.NET, format=name).weights
    assert set(found) == set(NUMBERS)
    for array in found.values():
        assert np.array_equal(np.sort(array, axis=None), np.arange(array.size, dtype=np.float32) + 1)


@pytest.mark.parametrize("lost", ["fc1", "fc2"])
def test_a_file_without_fc1_or_fc2_is_refused(lost):
    state = from_ours(origins.NET, NUMBERS, places=FORMATS["keras_hub_flatten"].places(origins.NET))
    key = {"fc1": "layers/sequential/layers/dense/vars/0", "fc2": "layers/sequential/layers/dense_1/vars/0"}[lost]
    del state[key]
    with pytest.raises(WeightsError, match=f"missing: {key}"):
        import_weights(state, origins.NET)


@pytest.mark.parametrize("name", ["keras", "timm", "caffe", "keras_hub"])
def test_dropout_is_the_networks_whatever_the_origin_has(name):
    """Keras Applications has none, timm's rate is 0 by default, Keras-Hub has one layer instead of two."""
    state = from_ours(origins.NET, NUMBERS, places=FORMATS[name].places(origins.NET))
    imported = import_weights(state, origins.NET, format=name)
    model = build(imported.network, imported.weights)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    rates = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert rates == [0.5, 0.5]
    with torch.no_grad():
        assert not torch.equal(model.train()(images), model.eval()(images))


def test_at_other_sizes_the_network_scores_densely_and_does_not_squeeze_the_map():
    """torchvision pools the map to 7x7 before fc6, at 256x320 another function than the paper's, which timm has."""
    images = torch.randn(2, 3, 256, 320, generator=torch.Generator().manual_seed(0))
    whole = dense(resize(origins.NET, (3, 224, 224)))
    weights = dense_weights(origins.NET, import_weights(as_tensors(NUMBERS), origins.NET).weights)
    ours = logits(resize(whole, (3, 256, 320)), weights, images).mean((2, 3))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        squeezed = origins.torchvision_model(NUMBERS)(images)
        scored = origins.timm_model(NUMBERS)(images)
    largest = ours.abs().max()
    assert (ours - scored).abs().max() / largest < 1e-5
    assert (ours - squeezed).abs().max() / largest > 1e-2


def test_weights_for_a_7x7_map_are_not_taken_for_a_smaller_one():
    """torchvision takes 32x32 images by repeating the one cell of their map 49 times in front of fc6."""
    small = network("vgg16", width=1 / 16, classes=10, fc=(64, 64), input=(3, 32, 32))
    state = origins.torchvision_model(NUMBERS).state_dict()
    with pytest.raises(WeightsError, match=r"classifier\.0\.weight is \(64, 1568\), not \(64, 32\)"):
        import_weights(state, small)
    with pytest.raises(WeightsError, match="has no timm form"):
        FORMATS["timm"].places(small)
    with pytest.raises(WeightsError, match="has no form in Keras-Hub"):
        FORMATS["keras_hub"].places(small)
