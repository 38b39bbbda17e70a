"""Our kernels in training: the numbers are those of PyTorch in float64, and only suitable convolutions are ours."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

import verydeep as vd
from verydeep.engine import library
from verydeep.training import our_kernels
from verydeep.training.convolution import TiledConv2d, suits
from verydeep.training.shortcuts import take_shortcuts

pytestmark = pytest.mark.usefixtures("compiled")


def passes(layer: nn.Module, images: Tensor, gradient: Tensor) -> list[Tensor]:
    """What the layer gives, and the gradients of what it read and of its parameters."""
    images = images.detach().requires_grad_()
    output = layer(images)
    output.backward(gradient)
    return [output.detach(), images.grad, *(parameter.grad for parameter in layer.parameters())]  # type: ignore[list-item]


def tiled(layer: nn.Conv2d) -> nn.Conv2d:
    layer.__class__ = TiledConv2d
    return layer


@pytest.mark.parametrize("padding", [0, 1, 2, (2, 0)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
def test_a_convolution_and_its_gradients_are_those_of_float64(padding, bias, order):
    torch.manual_seed(0)
    layer = nn.Conv2d(67, 71, 3, padding=padding, bias=bias).to(memory_format=order)  # type: ignore[call-overload]
    images = torch.randn(9, 67, 23, 29).to(memory_format=order)
    gradient = torch.randn_like(layer(images))
    expected = passes(copy.deepcopy(layer).double(), images.double(), gradient.double())
    calls = []
    layer.register_forward_hook(lambda *_: calls.append(layer._is_ours(images)))  # type: ignore[operator]
    for found, exact in zip(passes(tiled(layer), images, gradient), expected, strict=True):
        assert (found - exact).abs().max() <= 1e-5 * exact.abs().max()
    assert calls == [True]


def test_the_bits_do_not_depend_on_the_number_of_threads():
    layer = tiled(nn.Conv2d(64, 64, 3, padding=1))
    images, threads = torch.randn(16, 64, 20, 20), torch.get_num_threads()
    gradient = torch.randn_like(layer(images))
    try:
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            layer.zero_grad()
            found.append(passes(layer, images, gradient))
    finally:
        torch.set_num_threads(threads)
    for again in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found[0], again, strict=True))


def test_a_bias_may_have_gaps():
    layer = tiled(nn.Conv2d(64, 64, 3, padding=1))
    images = torch.randn(16, 64, 20, 20)
    expected = layer(images)
    layer.bias = nn.Parameter(torch.stack((layer.bias.detach(), torch.full((64,), 9.0)), dim=1)[:, 0])
    assert torch.equal(layer(images), expected)


FORKED = """
import os
import numpy as np, torch
import verydeep as vd
from verydeep.training.our_kernels import share_threads

network = vd.vgg(((1, 16), (2, 32)), input=(3, 32, 32), classes=10)
engine = vd.Engine.of(vd.build(network, seed=0).eval(), threads=2)
images = torch.ones(4, 3, 32, 32)
share_threads()
expected = engine(images)
child = os.fork()
if not child:
    os._exit(0 if torch.equal(engine(images), expected) else 3)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_computes_though_its_parent_shared_pytorchs_threads():
    subprocess.run([sys.executable, "-c", FORKED], timeout=100, check=True)


def test_autocast_and_small_maps_stay_pytorchs():
    layer = tiled(nn.Conv2d(64, 64, 3, padding=1))
    large, small = torch.randn(16, 64, 20, 20), torch.randn(1, 64, 20, 20)
    assert layer._is_ours(large)  # type: ignore[operator]
    assert not layer._is_ours(small)  # type: ignore[operator]
    assert not layer._is_ours(large.double())  # type: ignore[operator]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not layer._is_ours(large)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("size", "is_ours"), [(1, False), (2, True), (3, True), (4, True), (5, False), (6, True), (7, True)]
)
def test_maps_that_fill_their_tiles_badly_stay_pytorchs(size, is_ours):
    layer = tiled(nn.Conv2d(32, 32, 3, padding=1))
    images = torch.randn(1100, 32, size, size)
    assert layer._is_ours(images) is is_ours  # type: ignore[operator]
    if is_ours:
        gradient = torch.randn_like(images)
        exact = passes(copy.deepcopy(layer).double(), images.double(), gradient.double())
        for found, expected in zip(passes(layer, images, gradient), exact, strict=True):
            assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_weights_that_are_not_on_the_cpu_stay_pytorchs():
    layer, images = tiled(nn.Conv2d(32, 32, 3, padding=1)), torch.randn(4, 32, 20, 20)
    assert layer._is_ours(images)  # type: ignore[operator]
    layer.bias = nn.Parameter(torch.zeros(32, device="meta"))
    assert not layer._is_ours(images)  # type: ignore[operator]
    assert not layer.to("meta")._is_ours(images)  # type: ignore[operator]


@pytest.mark.parametrize("shape", [(16, 31, 20, 20), (16, 33, 20, 20), (512, 32, 2, 2)])
def test_maps_that_do_not_fit_are_refused_in_pytorchs_words(shape):
    layer, images = nn.Conv2d(32, 32, 3), torch.randn(shape)
    with pytest.raises(RuntimeError) as expected:
        layer(images)
    with pytest.raises(RuntimeError) as found:
        tiled(layer)(images)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(64, 64, 5),
        nn.Conv2d(64, 64, 3, stride=2),
        nn.Conv2d(64, 64, 3, dilation=2),
        nn.Conv2d(64, 64, 3, groups=2),
        nn.Conv2d(64, 64, 3, padding=3),
        nn.Conv2d(64, 64, 3, padding="same"),
        nn.Conv2d(64, 64, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(22, 23, 3),
        nn.Conv2d(512, 15, 3),
    ],
)
def test_another_kind_of_convolution_is_not_ours(layer):
    assert not suits(layer)


def test_a_network_in_training_takes_our_kernels_where_they_were_measured(monkeypatch):
    network = vd.vgg(((1, 64), (2, 64)), input=(3, 32, 32), classes=10)
    ours = [name for name, module in take_shortcuts(vd.build(network)).named_modules() if type(module) is TiledConv2d]
    measured = library.active() in our_kernels.MEASURED
    assert [name.split(".")[-1] for name in ours] == (["conv2_1", "conv2_2"] if measured else [])
    assert not any(
        type(module) is TiledConv2d for module in take_shortcuts(vd.build(network), precision="bf16").modules()
    )
    monkeypatch.setattr(our_kernels.library, "why_not", lambda: "no compiler")
    assert not any(type(module) is TiledConv2d for module in take_shortcuts(vd.build(network)).modules())
