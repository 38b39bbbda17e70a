"""Batch norm folded into the layer before it: the same answers from fewer layers."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from verydeep.backends.check import narrow, sample_weights
from verydeep.backends.pytorch import build
from verydeep.errors import SpecError, WeightsError
from verydeep.families.catalog import CATALOG, network
from verydeep.rewrite.fold import fold, fold_weights
from verydeep.spec import BatchNorm, Block, Conv, Flatten, Linear, Network, Pool, ReLU, conv, walk, weights
from verydeep.weights.initial import initial

NORMALISED = [name for name in CATALOG if any(isinstance(step.layer, BatchNorm) for step in walk(network(name)))]


def layers(net):
    return [step.layer for step in walk(net)]


@pytest.mark.parametrize("name", NORMALISED)
def test_a_folded_network_gives_the_same_logits_with_fewer_layers(name):
    net = narrow(name, CATALOG[name])
    folded, arrays = fold(net), sample_weights(net)
    before_norms = [before for before, after in pairwise(layers(net)) if isinstance(after, BatchNorm)]
    behind_pools = sum(isinstance(layer, Pool) for layer in before_norms)  # a maximum and a negative scale do not swap
    assert behind_pools < len(before_norms)
    assert len(layers(folded)) == len(layers(net)) - len(before_norms) + behind_pools
    assert sum(isinstance(layer, BatchNorm) for layer in layers(folded)) == behind_pools
    x = torch.randn(2, *net.input, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = build(net, arrays).eval()(x)
        after = build(folded, fold_weights(net, arrays)).eval()(x)
    assert float((after - before).abs().max() / before.abs().max()) <= 1e-5


def test_networks_with_batch_norm_are_found():
    assert {"vgg16_bn", "googlenet_bn", "resnet152", "resnet110_cifar", "mnist_cnn"} <= set(NORMALISED)


def test_folded_column_d_has_the_layers_and_parameters_of_column_d():
    folded = fold(network("D_bn"))
    assert layers(folded) == layers(network("D"))
    assert sum(np.prod(weight.shape) for weight in weights(folded).values()) == 138_357_544


def test_a_convolution_without_bias_gets_one():
    net = network("resnet18")
    assert not any(layer.bias for layer in layers(net) if isinstance(layer, Conv))
    assert all(layer.bias for layer in layers(fold(net)) if isinstance(layer, Conv))


def test_a_linear_layer_is_folded_too():
    head = (Flatten("flatten"), Linear("fc1", 3, bias=False), BatchNorm("bn1"), ReLU("relu1"), Linear("fc2", 2))
    net = Network("n", (1, 2, 2), (Block("b", head),))
    arrays = sample_weights(net)
    x = torch.randn(4, 1, 2, 2)
    with torch.no_grad():
        before = build(net, arrays).eval()(x)
        after = build(fold(net), fold_weights(net, arrays)).eval()(x)
    assert torch.allclose(before, after, rtol=0, atol=1e-6)


def test_batch_norm_behind_another_layer_stays():
    body = (BatchNorm("bn0"), conv("conv1", 2), BatchNorm("bn1"), ReLU("relu1"), BatchNorm("bn2"))
    net = Network("n", (1, 4, 4), (Block("b", body),))
    assert [layer.name for layer in layers(fold(net))] == ["bn0", "conv1", "relu1", "bn2"]
    arrays = sample_weights(net)
    folded = fold_weights(net, arrays)
    assert list(folded) == list(weights(fold(net)))
    assert all(np.array_equal(folded[name], arrays[name]) for name in folded if name.startswith("bn"))


def test_the_fold_is_computed_in_float64_and_rounded_once():
    net = Network("n", (1, 1, 1), (Block("b", (conv("conv1", 500, kernel=1), BatchNorm("bn1"))),))
    arrays = sample_weights(net)
    weight, bias, gain, shift, mean, variance = (arrays[name].astype(np.float64) for name in weights(net))
    scale = gain / np.sqrt(variance + 1e-5)
    folded = fold_weights(net, arrays)
    assert folded["conv1.weight"].dtype == folded["conv1.bias"].dtype == np.float32
    assert np.array_equal(folded["conv1.weight"].ravel(), (weight.ravel() * scale).astype(np.float32))
    assert np.array_equal(folded["conv1.bias"], ((bias - mean) * scale + shift).astype(np.float32))


def test_a_network_without_batch_norm_is_refused():
    with pytest.raises(SpecError, match="nothing to fold"):
        fold(network("D"))


def test_weights_of_another_network_are_refused():
    with pytest.raises(WeightsError, match="missing: bn1_1"):
        fold_weights(network("A_bn", width=1 / 16, fc=(8, 8)), initial(network("A", width=1 / 16, fc=(8, 8))))
