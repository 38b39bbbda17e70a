"""Quicker layers are the same layers: the same names, the same numbers, the same gradients."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from verydeep.backends import pytorch
from verydeep.families.catalog import network
from verydeep.families.vgg import vgg
from verydeep.training import our_kernels, shortcuts
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


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("before", [(torch.nn.ReLU(),), ()])
def test_a_pool_gives_the_same_numbers_forward_and_backward(before, dtype, order):
    plain = torch.nn.Sequential(*before, torch.nn.MaxPool2d(2))
    quick = take_shortcuts(copy.deepcopy(plain))
    for shape in ((3, 16, 9, 8), (2, 40, 2, 3), (1, 21, 7, 2)):
        images = torch.randn(shape, dtype=dtype).contiguous(memory_format=order)
        images[:, :, :1] = 0.3  # a flat region: every window there is a tie
        assert quick[-1]._is_ours(images) is our_kernels.are_quicker()
        (expected, by_images), (found, by_found) = _gradients(plain, images), _gradients(quick, images)
        assert torch.equal(found, expected)
        assert torch.equal(by_found["images"], by_images["images"])


def test_a_pool_of_two_places_is_rectified_where_a_relu_is_before_it_only():
    pool = torch.nn.MaxPool2d(2)
    model = torch.nn.Sequential(
        torch.nn.Sequential(torch.nn.ReLU(), pool), torch.nn.Sequential(torch.nn.LogSigmoid(), pool)
    )
    quick, images = take_shortcuts(copy.deepcopy(model)), torch.randn(2, 16, 8, 8)
    assert torch.equal(quick(images), model(images))


def test_a_pool_that_gives_indices_too_stays_as_it_is():
    quick = take_shortcuts(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.MaxPool2d(2, return_indices=True)))
    assert [type(layer) for layer in quick] == [torch.nn.ReLU, torch.nn.MaxPool2d]


@pytest.mark.usefixtures("compiled")
def test_a_compiler_sees_pytorchs_layers():
    network = vgg(((1, 32), (2, 32)), input=(3, 32, 32), classes=5, fc=())
    model, quick = _twins(network)
    images = torch.randn(4, 3, 32, 32)
    tiled = quick.get_submodule("block2.conv2_1")
    if our_kernels.are_quicker():
        assert tiled._is_ours(torch.randn(4, 32, 16, 16))
    found = torch.compile(quick, fullgraph=True, backend="eager")(images)
    torch.testing.assert_close(found, model(images), rtol=1e-4, atol=1e-5)
    with FakeTensorMode(allow_non_fake_inputs=True) as pretended:
        assert quick(pretended.from_tensor(images)).shape == (4, 5)


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
    images = torch.randn(2, 16, 9, 9)
    assert type(take_shortcuts(torch.nn.Sequential(pool))[0]) is torch.nn.MaxPool2d
    behind = take_shortcuts(torch.nn.Sequential(torch.nn.ReLU(), copy.deepcopy(pool)))
    assert torch.equal(behind(images), pool(images.relu()))


@pytest.mark.usefixtures("compiled")
def test_maps_that_our_kernels_do_not_take_are_pooled_by_pytorch():
    pool = take_shortcuts(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.MaxPool2d(2)))[1]
    double, three, few = torch.randn(1, 16, 8, 8).double(), torch.randn(16, 8, 8), torch.randn(1, 15, 8, 8)
    for images in (double, three, few):
        assert not pool._is_ours(images)
        assert torch.equal(pool(images), torch.nn.functional.max_pool2d(images, 2).relu())


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
