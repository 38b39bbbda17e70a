"""Quicker layers are the same layers: the same names, the same numbers, the same gradients."""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from verydeep.backends import pytorch
from verydeep.families.catalog import network
from verydeep.families.vgg import vgg
from verydeep.training import shortcuts
from verydeep.training.pooling import HalvingPool, RectifiedPool
from verydeep.training.shortcuts import CountedDropout, LargeLinear, take_shortcuts
from verydeep.weights.initial import initial

has_onednn = pytest.mark.skipif(not shortcuts._has_onednn(), reason="this PyTorch has no oneDNN")


def _twins(net) -> tuple[torch.nn.Sequential, torch.nn.Sequential]:
    """A network as it is built, and with shortcuts."""
    model = pytorch.build(net, initial(net, seed=3), layout="channels_last")
    return model, take_shortcuts(copy.deepcopy(model))


def _gradients(model: torch.nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
    images = images.clone().requires_grad_()
    logits = model(images)
    logits.square().sum().backward()
    return logits, {"images": images.grad, **{name: one.grad for name, one in model.named_parameters()}}


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn", "alexnet", "googlenet", "resnet18"])
def test_every_weight_keeps_its_name_and_its_place(name: str):
    model, quick = _twins(network(name, width=1 / 16, input=(3, 64, 64)))
    before, after = pytorch.tensors(model), pytorch.tensors(quick)
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_relu_behind_the_pool_gives_the_same_bits_forward_and_backward():
    model, quick = _twins(vgg(((1, 8), (2, 16)), input=(2, 12, 12), classes=5, fc=(), batch_norm=True))
    assert sum(isinstance(module, RectifiedPool) for module in quick.modules()) == 2
    images = torch.randn(6, 2, 12, 12).contiguous(memory_format=torch.channels_last)
    images[:, :, :6] = 0.3  # a flat region: every window there is a tie
    (logits, expected), (found_logits, found) = _gradients(model, images), _gradients(quick, images)
    assert torch.equal(logits, found_logits)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_pool_that_is_not_behind_a_relu_gives_the_same_bits_too(dtype):
    plain = torch.nn.MaxPool2d(2)
    quick = take_shortcuts(torch.nn.Sequential(copy.deepcopy(plain)))
    assert type(quick[0]) is HalvingPool
    for shape in ((3, 5, 9, 8), (2, 40, 2, 3)):
        for order in (torch.channels_last, torch.contiguous_format):
            images = torch.randn(shape, dtype=dtype).contiguous(memory_format=order)
            assert quick[0]._is_ours(images)
            (expected, by_images), (found, by_found) = _gradients(plain, images), _gradients(quick, images)
            assert torch.equal(found, expected)
            assert torch.equal(by_found["images"], by_images["images"])


@pytest.mark.parametrize(
    "pool",
    [
        torch.nn.MaxPool2d(3),
        torch.nn.MaxPool2d(2, stride=1),
        torch.nn.MaxPool2d(2, padding=1),
        torch.nn.MaxPool2d(2, dilation=2),
        torch.nn.MaxPool2d(2, ceil_mode=True),
        torch.nn.MaxPool2d((2, 3)),
    ],
)
def test_another_pool_stays_pytorchs(pool):
    images = torch.randn(2, 3, 9, 9)
    assert type(take_shortcuts(torch.nn.Sequential(pool))[0]) is torch.nn.MaxPool2d
    behind = take_shortcuts(torch.nn.Sequential(torch.nn.ReLU(), copy.deepcopy(pool)))
    assert torch.equal(behind(images), pool(images.relu()))


@pytest.mark.usefixtures("compiled")
def test_maps_that_our_kernels_do_not_take_are_pooled_by_pytorch():
    pool = take_shortcuts(torch.nn.Sequential(torch.nn.MaxPool2d(2)))[0]
    for images in (torch.randn(3, 8, 8), torch.randn(1, 3, 8, 8, dtype=torch.float64)):
        assert not pool._is_ours(images)
        assert torch.equal(pool(images), torch.nn.functional.max_pool2d(images, 2))


@has_onednn
def test_large_products_are_those_of_float64():
    torch.manual_seed(0)
    exact = torch.nn.Linear(600, 500).double()
    quick = copy.deepcopy(exact).float()
    quick.__class__ = LargeLinear
    x = torch.randn(9, 600, dtype=torch.float64)
    (y, expected), (found_y, found) = _gradients(exact, x), _gradients(quick, x.float())
    for name, value in {**expected, "logits": y}.items():
        ours = found_y if name == "logits" else found[name]
        assert (ours.double() - value).abs().max() <= 2e-6 * value.abs().max(), name


@has_onednn
def test_only_large_linear_layers_are_changed():
    _, quick = _twins(vgg(((1, 4),), input=(1, 8, 8), classes=5, fc=(600, 600), dropout=0.0))
    kinds = [type(module) for module in quick.modules() if isinstance(module, torch.nn.Linear)]
    assert kinds == [torch.nn.Linear, LargeLinear, torch.nn.Linear]


@has_onednn
def test_a_large_layer_under_autocast_is_pytorchs_own():
    plain = torch.nn.Linear(600, 500)
    quick = copy.deepcopy(plain)
    quick.__class__ = LargeLinear
    x = torch.randn(9, 600)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert quick(x).dtype == torch.bfloat16
        assert torch.equal(quick(x), plain(x))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float):
    x = torch.ones(1000, 1000, requires_grad=True)
    torch.manual_seed(1)
    y = CountedDropout(rate)(x)
    y.sum().backward()
    values, counts = np.unique(y.detach().numpy(), return_counts=True)
    assert values == pytest.approx([0, 1 / (1 - rate)], rel=1e-4)
    assert counts[0] / 1e6 == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / 1e6))
    assert x.grad is not None
    assert torch.equal(x.grad, y)
    neighbours = np.corrcoef((y.detach().numpy() == 0).reshape(-1, 4).T)  # the four of one word
    assert np.abs(neighbours - np.eye(4)).max() < 0.01


def test_dropout_follows_the_seed_and_rests_in_evaluation():
    layer, x = CountedDropout(0.5), torch.randn(7, 33)
    torch.manual_seed(5)
    first = layer(x)
    torch.manual_seed(5)
    assert torch.equal(layer(x), first)
    assert not torch.equal(layer(x), first)
    layer.eval()
    assert torch.equal(layer(x), x)


def test_a_rate_next_to_one_leaves_no_infinity():
    assert CountedDropout(0.9999999)(torch.ones(4, 4)).isfinite().all()


def test_a_dropout_of_everything_leaves_nothing():
    assert not CountedDropout(1.0).train()(torch.ones(10**5)).any()
