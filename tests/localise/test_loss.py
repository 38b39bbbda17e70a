"""The Euclidean loss against its formula and against finite differences, and whose box it teaches."""

import numpy as np
import pytest
import torch

from verydeep.errors import SpecError
from verydeep.families.vgg import vgg
from verydeep.localise.head import first_weights, locator, of_class
from verydeep.localise.loss import euclidean
from verydeep.localise.train import tuned_layers
from verydeep.spec import Block, Network, pool, weights
from verydeep.weights.initial import initial

NET = vgg(((1, 4), (1, 8)), input=(3, 16, 16), classes=3, fc=(6, 5))


def sample(outputs):
    stream = np.random.default_rng(0)
    return (
        torch.tensor(stream.normal(size=(5, outputs)), dtype=torch.float64),
        torch.tensor(stream.normal(size=(5, 4)), dtype=torch.float64),
        torch.tensor([2, 0, 1, 1, 0]),
        torch.tensor([True, True, False, True, True]),
    )


@pytest.mark.parametrize("outputs", [4, 12])
def test_the_loss_is_half_the_squared_distance_of_the_own_class_s_box(outputs):
    given, wanted, labels, seen = sample(outputs)
    expected = 0.0
    for i in range(5):
        if seen[i]:
            first = 4 * int(labels[i]) if outputs == 12 else 0
            expected += 0.5 * sum(float(given[i, first + k] - wanted[i, k]) ** 2 for k in range(4))
    assert float(euclidean(given, wanted, labels=labels, seen=seen)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("outputs", [4, 12])
def test_the_gradient_is_that_of_finite_differences(outputs):
    given, wanted, labels, seen = sample(outputs)
    given.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: euclidean(x, wanted, labels=labels, seen=seen), (given,))
    euclidean(given, wanted, labels=labels, seen=seen).backward()
    assert given.grad is not None
    step = 1e-6
    for place in np.ndindex(*given.shape):
        moved = given.detach().clone()
        moved[place] += step
        back = given.detach().clone()
        back[place] -= step
        slope = (
            euclidean(moved, wanted, labels=labels, seen=seen) - euclidean(back, wanted, labels=labels, seen=seen)
        ) / (2 * step)
        assert float(given.grad[place]) == pytest.approx(float(slope), abs=1e-8)
    if outputs == 12:
        other = given.grad.reshape(5, 3, 4)[torch.arange(5), (labels + 1) % 3]
        assert not other.any()


def test_the_head_gives_one_box_or_one_for_each_class_and_keeps_all_names():
    single, each = locator(NET, boxes="single-class"), locator(NET, boxes="per-class")
    assert (single.classes, each.classes) == (4, 12)
    assert (single.name, each.name) == (f"{NET.name}_scr", f"{NET.name}_pcr")
    assert list(weights(single)) == list(weights(NET))


def test_the_box_of_a_class_is_its_own_four_outputs():
    outputs = np.arange(24.0).reshape(2, 12)
    assert of_class(outputs, np.array([2, 0])).tolist() == [[8, 9, 10, 11], [12, 13, 14, 15]]
    assert of_class(outputs[:, :4], np.array([2, 0])).tolist() == [[0, 1, 2, 3], [12, 13, 14, 15]]


def test_all_layers_but_the_last_begin_as_the_classifier_ended():
    trained = initial(NET, seed=5)
    first = first_weights(NET, boxes="per-class", classifier_weights=trained, seed=1)
    assert first["fc5.weight"].shape == (12, 5)
    assert first["fc5.weight"].std() == pytest.approx(0.01, rel=0.5)
    assert not first["fc5.bias"].any()
    for name in set(trained) - {"fc5.weight", "fc5.bias"}:
        assert np.array_equal(first[name], trained[name])


def test_the_first_two_fully_connected_layers_and_the_last_are_tuned():
    network = locator(NET, boxes="per-class")
    assert tuned_layers(network, "fc") == {"fc3", "fc4", "fc5"}
    assert tuned_layers(network, "all") == {"conv1_1", "conv2_1", "fc3", "fc4", "fc5"}
    linear = locator(vgg(((1, 4),), input=(3, 8, 8), classes=3, fc=()), boxes="single-class")
    assert len(tuned_layers(linear, "fc")) == 1


def test_a_network_without_a_head_is_refused():
    bare = Network("bare", (3, 8, 8), (Block("block1", (pool("pool1", kernel=2, stride=2),)),))
    with pytest.raises(SpecError, match="no head"):
        locator(bare, boxes="per-class")
