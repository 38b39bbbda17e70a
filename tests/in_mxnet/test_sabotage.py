"""The contract notices what goes wrong in MXNet most easily: its defaults, and its own sense of a layer's constants."""

# ruff: noqa: N803 - F is Gluon's name for the operators

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import pytest
from mxnet import gluon
from mxnet.gluon import nn

from verydeep.backends import mxnet_gluon
from verydeep.backends import mxnet_layers as layers
from verydeep.backends.check import check_network, narrow
from verydeep.backends.numpy_reference import Mode
from verydeep.backends.odd_networks import ODD_NETWORKS
from verydeep.errors import VerificationError
from verydeep.families.catalog import CATALOG
from verydeep.spec import Network

Array = npt.NDArray[Any]
Damage = Callable[[gluon.HybridBlock], object]


@dataclass(frozen=True, slots=True)
class Sabotaged:
    """The MXNet backend with one thing broken in each built model."""

    damage: Damage

    def build(self, network: Network, arrays: Mapping[str, Array]) -> nn.HybridSequential:
        model = mxnet_gluon.build(network, arrays)
        model.apply(self.damage)
        return model

    def run(self, model: nn.HybridSequential, images: Array, *, mode: Mode, taps: Iterable[str]) -> dict[str, Array]:
        return mxnet_gluon.run(model, images, mode=mode, taps=taps)

    def get_weights(self, model: nn.HybridSequential) -> dict[str, Array]:
        return mxnet_gluon.get_weights(model)


def options(kind: type[gluon.HybridBlock], **values: Any) -> Damage:
    """Give each block of a kind other options of its operator."""

    def damage(block: gluon.HybridBlock) -> None:
        if isinstance(block, kind):
            for name, value in values.items():
                block._kwargs[name] = value(block._kwargs[name]) if callable(value) else value

    return damage


def compute(kind: type[gluon.HybridBlock], forward: Callable[[Any, Any], Any]) -> Damage:
    """Let each block of a kind compute something else."""

    def damage(block: gluon.HybridBlock) -> None:
        if isinstance(block, kind):
            block.hybrid_forward = forward

    return damage


def become(kind: type[gluon.HybridBlock], other: type[gluon.HybridBlock]) -> Damage:
    """Make each block of a kind one of another, which holds the same."""

    def damage(block: gluon.HybridBlock) -> None:
        if type(block) is kind:
            block.__class__ = other

    return damage


def swap_sides(block: gluon.HybridBlock) -> None:
    if isinstance(block, layers.UnevenConv2D):
        block.sides = tuple((after, before) for before, after in block.sides)


MISTAKES: dict[str, Damage] = {
    "the running variance is biased, as Gluon's": become(layers.BatchNorm, nn.BatchNorm),
    "batch norm has the operator's epsilon of 1e-3": options(nn.BatchNorm, eps=1e-3),
    "momentum has PyTorch's sense": options(nn.BatchNorm, momentum=lambda value: 1 - value),
    "gamma is fixed, the operator's default": options(nn.BatchNorm, fix_gamma=True),
    "LRN's alpha is divided by its size": options(layers.LocalResponseNorm, alpha=lambda value: value / 3),
    "average pools count their padding, the operator's default": options(nn.AvgPool2D, count_include_pad=True),
    "pools round down": options(nn.MaxPool2D, pooling_convention="valid"),
    "Flatten puts channels last": compute(nn.Flatten, lambda F, x: F.flatten(F.transpose(x, axes=(0, 2, 3, 1)))),
    "uneven padding is put on the other side": swap_sides,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_backend_with_one_mistake_is_refused(mistake: str):
    with pytest.raises(VerificationError) as caught:
        for network in (*ODD_NETWORKS, narrow("nin", CATALOG["nin"])):
            check_network(Sabotaged(MISTAKES[mistake]), network)
    assert caught.value.code == "BACKEND-CONTRACT"
