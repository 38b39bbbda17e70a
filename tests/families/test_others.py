"""The networks around VGG have the published numbers and, where it has them, torchvision's exact arrays."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision

from tests.families.counts import macs, names, parameters
from verydeep.errors import SpecError
from verydeep.families.catalog import network
from verydeep.families.resnet import resnet, resnet_cifar
from verydeep.spec import LRN, BatchNorm, Conv, Pool, Tanh, walk, weights

TORCHVISION: dict[str, Callable[..., Any]] = {
    "vgg11": torchvision.models.vgg11,
    "vgg13": torchvision.models.vgg13,
    "vgg16": torchvision.models.vgg16,
    "vgg19": torchvision.models.vgg19,
    "vgg11_bn": torchvision.models.vgg11_bn,
    "vgg13_bn": torchvision.models.vgg13_bn,
    "vgg16_bn": torchvision.models.vgg16_bn,
    "vgg19_bn": torchvision.models.vgg19_bn,
    "alexnet": torchvision.models.alexnet,
    "googlenet_bn": lambda: torchvision.models.googlenet(aux_logits=False, init_weights=False),
    "resnet18": torchvision.models.resnet18,
    "resnet34": torchvision.models.resnet34,
    "resnet50": torchvision.models.resnet50,
    "resnet101": torchvision.models.resnet101,
    "resnet152": torchvision.models.resnet152,
}


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("lenet5", 61_706),
        ("alexnet", 61_100_840),
        ("alexnet_2012", 60_965_224),
        ("nin", 966_986),
        ("nin_imagenet", 7_595_176),
        ("googlenet", 6_998_552),
        ("googlenet_bn", 6_624_904),
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("resnet20_cifar", 269_722),
        ("resnet110_cifar", 1_727_962),
        ("airbench94_relu", 1_972_792),
    ],
)
def test_a_network_has_this_many_parameters(name: str, total: int):
    assert parameters(network(name)) == total


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_arrays_are_torchvisions_in_the_same_order(name: str):
    with torch.device("meta"):
        theirs = TORCHVISION[name]().state_dict()
    ours = weights(network(name))
    expected = [tuple(array.shape) for key, array in theirs.items() if not key.endswith("num_batches_tracked")]
    assert [weight.shape for weight in ours.values()] == expected


def test_resnet_50_costs_four_billion_multiplications():
    assert round(macs(network("resnet50")) / 1e9, 3) == 4.089


# LeNet, AlexNet, Network in Network


def test_lenet_has_its_activations_and_means_for_pools():
    lenet = network("lenet5")
    assert sum(isinstance(step.layer, Tanh) for step in walk(lenet)) == 4
    assert [step.layer.pooling for step in walk(lenet) if isinstance(step.layer, Pool)] == ["average", "average"]
    assert [step.after.shape for step in walk(lenet) if step.layer.name == "flatten"] == [(400,)]


def test_alexnet_as_published_has_two_groups_and_lrn_and_55x55_maps():
    steps = {step.layer.name: step for step in walk(network("alexnet_2012"))}
    groups = {name: step.layer.groups for name, step in steps.items() if isinstance(step.layer, Conv)}
    assert groups == {"conv1": 1, "conv2": 2, "conv3": 1, "conv4": 2, "conv5": 2}
    assert [name for name, step in steps.items() if isinstance(step.layer, LRN)] == ["norm1", "norm2"]
    assert steps["conv1"].after.shape == (96, 55, 55)


def test_alexnet_in_two_groups_stays_even_at_any_width():
    for width in (0.01, 0.3, 0.77):
        thin = network("alexnet_2012", width=width)
        assert all(s.layer.channels % s.layer.groups == 0 for s in walk(thin) if isinstance(s.layer, Conv))


@pytest.mark.parametrize("name", ["nin", "nin_imagenet"])
def test_network_in_network_ends_in_the_mean_of_one_map_for_each_class(name: str):
    assert names(network(name))[-3:] == ["relu3_3" if name == "nin" else "relu4_3", "mean", "flatten"]
    assert not any(name.startswith("fc") for name in names(network(name)))


# GoogLeNet


def test_the_nine_inceptions_have_the_papers_channels():
    ends = {s.layer.name: s.after.shape for s in walk(network("googlenet")) if s.layer.name.startswith("inception_")}
    channels = [ends[f"inception_{row}"][0] for row in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")]
    assert channels == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    assert ends["inception_3a"][1:] == (28, 28)
    assert ends["inception_5b"][1:] == (7, 7)


def test_only_the_published_googlenet_has_5x5_convolutions_and_lrn():
    def kernels(name: str) -> set[tuple[int, int]]:
        return {step.layer.kernel for step in walk(network(name)) if isinstance(step.layer, Conv)}

    assert kernels("googlenet") == {(1, 1), (3, 3), (5, 5), (7, 7)}
    assert kernels("googlenet_bn") == {(1, 1), (3, 3), (7, 7)}
    assert [s.layer.name for s in walk(network("googlenet")) if isinstance(s.layer, LRN)] == ["norm1", "norm2"]
    assert not any(isinstance(step.layer, LRN) for step in walk(network("googlenet_bn")))


def test_googlenet_with_batch_norm_has_torchvisions_epsilon():
    norms = [step.layer for step in walk(network("googlenet_bn")) if isinstance(step.layer, BatchNorm)]
    assert len(norms) == 57
    assert {norm.epsilon for norm in norms} == {1e-3}


# ResNet


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_a_resnet_is_as_deep_as_its_name_says(depth: int):
    def counts(name: str) -> bool:
        return name == "fc" or (name.startswith("conv") and not name.endswith("s"))  # shortcuts are not counted

    assert sum(counts(name) for name in names(network(f"resnet{depth}"))) == depth


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_a_cifar_resnet_is_as_deep_as_its_name_says_and_its_shortcuts_have_no_parameters(depth: int):
    small = network(f"resnet{depth}_cifar")
    assert sum(name.startswith(("conv", "fc")) for name in names(small)) == depth
    assert not any(name.startswith("conv") and name.endswith("s") for name in names(small))


def test_a_cifar_resnet_halves_32_pixels_twice_and_ends_in_64_channels():
    ends = {step.layer.name: step.after.shape for step in walk(network("resnet20_cifar"))}
    assert (ends["relu2_3"], ends["relu3_3"], ends["relu4_3"]) == ((16, 32, 32), (32, 16, 16), (64, 8, 8))


def test_a_depth_that_no_resnet_has_is_refused():
    with pytest.raises(SpecError) as caught:
        resnet(51)
    assert str(caught.value) == "there is no ResNet-51. Choose from 18, 34, 50, 101, 152."


@pytest.mark.parametrize("depth", [2, 7, 21])
def test_a_cifar_resnet_has_6n_plus_2_layers(depth: int):
    with pytest.raises(SpecError) as caught:
        resnet_cifar(depth)
    assert str(caught.value) == f"a CIFAR ResNet has 6n+2 layers, not {depth}. Choose from 20, 32, 44, 56, 110."
