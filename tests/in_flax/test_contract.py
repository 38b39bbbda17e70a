"""Flax NNX keeps the contract of backends: every network of the catalogue and the odd ones; usual mistakes are noticed.

The layers are run one by one: JAX compiles each operation once for all networks, which takes half as long as compiling
each network whole. `nnx.jit` is held to the same contract with some of them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import pytest
from flax import nnx

from verydeep.backends import flax_nnx
from verydeep.backends import flax_nnx_layers as layers
from verydeep.backends.check import TOLERANCE, check_network, narrow, samples
from verydeep.backends.numpy_reference import Mode
from verydeep.backends.odd_networks import ODD_NETWORKS
from verydeep.errors import VerificationError
from verydeep.families.catalog import CATALOG
from verydeep.spec import Block, Network, ReLU, conv

Array = npt.NDArray[Any]

ODD = {odd.name: odd for odd in ODD_NETWORKS}


@pytest.mark.parametrize("network", list(samples()), ids=lambda network: network.name)
def test_flax_agrees_with_the_reference(network: Network):
    agreements = check_network(flax_nnx, network)
    assert [agreement.mode for agreement in agreements] == ["eval", "train"]
    assert all(0 < agreement.error <= TOLERANCE for agreement in agreements)


def test_every_network_of_the_catalogue_is_checked():
    assert [network.name for network in samples()] == [*ODD, *CATALOG]


class Double:
    """The backend with its variables in double precision."""

    def build(self, network: Network, arrays: Mapping[str, Array]) -> nnx.Module:
        model = flax_nnx.build(network, arrays)
        state = nnx.state(model, (nnx.Param, nnx.BatchStat))
        nnx.update(model, jax.tree.map(lambda array: array.astype(jnp.float64), state))
        return model

    def run(self, model: nnx.Module, images: Array, *, mode: Mode, taps: Iterable[str]) -> dict[str, Array]:
        return flax_nnx.run(model, images.astype(np.float64), mode=mode, taps=taps)

    def get_weights(self, model: nnx.Module) -> dict[str, Array]:
        return flax_nnx.get_weights(model)


def test_in_double_precision_no_difference_is_left():
    # Its float32 logits in train mode are half the tolerance away from the reference; only GoogLeNet's are further.
    with jax.enable_x64(True):
        agreements = check_network(Double(), narrow("vgg19_bn", CATALOG["vgg19_bn"]), tolerance=1e-12)
    assert all(0 < agreement.error <= 1e-12 for agreement in agreements)


class Compiled:
    """The backend as a training loop uses it: one compiled function over the model, in the model's own mode."""

    def build(self, network: Network, arrays: Mapping[str, Array]) -> nnx.Module:
        return flax_nnx.build(network, arrays)

    def run(self, model: nnx.Module, images: Array, *, mode: Mode, taps: Iterable[str]) -> dict[str, Array]:
        model.train() if mode == "train" else model.eval()
        compiled = nnx.jit(partial(flax_nnx.features, taps=tuple(taps)))
        found = compiled(model, jnp.asarray(images.transpose(0, 2, 3, 1)))
        return {name: np.asarray(x).transpose(0, 3, 1, 2) if x.ndim == 4 else x for name, x in found.items()}

    def get_weights(self, model: nnx.Module) -> dict[str, Array]:
        return flax_nnx.get_weights(model)


COMPILED = [*ODD_NETWORKS, *(narrow(name, CATALOG[name]) for name in ("vgg11_lrn_bn", "lenet5", "resnet20_cifar"))]


@pytest.mark.parametrize("network", COMPILED, ids=lambda network: network.name)
def test_compiled_it_agrees_too(network: Network):
    assert len(check_network(Compiled(), network)) == 2


# Mistakes


def change(kind: type[nnx.Module], **values: Callable[[Any], Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """Give each module of a kind other values of its attributes, made from the module."""
    original = flax_nnx.build

    def build(network: Network, arrays: Mapping[str, Array]) -> nnx.Module:
        model = original(network, arrays)
        for _, module in nnx.iter_modules(model):
            if isinstance(module, kind):
                for name, value in values.items():
                    setattr(module, name, value(module))
        return model

    return lambda patch: patch.setattr(flax_nnx, "build", build)


def recompute(kind: type[nnx.Module], call: Callable[..., jax.Array]) -> Callable[[pytest.MonkeyPatch], None]:
    """Let each module of a kind compute something else."""
    return lambda patch: patch.setattr(kind, "__call__", call)


def exchanged_kernels(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(flax_nnx, "as_hwio", lambda array: array.T)
    patch.setattr(flax_nnx, "from_hwio", lambda array: array.T)


UNSORTED = Network("unsorted", (2, 5, 5), (Block("body", (conv("second", 3), ReLU("first"))),))

MISTAKES: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], Network]] = {
    "batch norm has an epsilon of 1e-3": (
        change(nnx.BatchNorm, epsilon=lambda module: 1e-3),
        ODD["normalised_vector"],
    ),
    "momentum has the other sense": (
        change(nnx.BatchNorm, momentum=lambda module: 1 - module.momentum),
        ODD["normalised_vector"],
    ),
    "the running variance is Flax's own, biased": (
        recompute(layers.BatchNorm, nnx.BatchNorm.__call__),
        ODD["normalised_vector"],
    ),
    "batch norm always uses the batch": (
        recompute(layers.BatchNorm, lambda self, x: nnx.BatchNorm.__call__(self, x, False)),
        ODD["normalised_vector"],
    ),
    "Flatten puts channels last": (
        recompute(layers.Flatten, lambda self, x: x.reshape(len(x), -1)),
        ODD["uneven_convolution"],
    ),
    "convolutions pad for the same size": (
        change(nnx.Conv, padding=lambda module: "SAME"),
        ODD["uneven_convolution"],
    ),
    "a kernel's height and width are exchanged": (exchanged_kernels, narrow("vgg11", CATALOG["vgg11"])),
    "LRN's alpha is divided by its size": (
        change(layers.LRN, layer=lambda module: replace(module.layer, alpha=module.layer.alpha / module.layer.size)),
        ODD["strong_lrn"],
    ),
    "mean pools count their padding": (
        lambda patch: patch.setattr(nnx, "avg_pool", partial(_counting, nnx.avg_pool)),
        ODD["padded_mean"],
    ),
    "layers run in the order of their names, as JAX sorts them": (
        change(layers.Sequential, order=lambda module: tuple(sorted(module.order))),
        UNSORTED,
    ),
    "new channels all come at the end": (
        change(layers.PadChannels, before=lambda module: 0, after=lambda module: 4),
        ODD["uneven_channels"],
    ),
}


def _counting(avg_pool: Callable[..., jax.Array], *args: Any, **options: Any) -> jax.Array:
    return avg_pool(*args, **{**options, "count_include_pad": True})


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_backend_with_one_mistake_is_refused(monkeypatch: pytest.MonkeyPatch, mistake: str):
    damage, network = MISTAKES[mistake]
    check_network(flax_nnx, network)
    damage(monkeypatch)
    with pytest.raises(VerificationError) as caught:
        check_network(flax_nnx, network)
    assert caught.value.code == "BACKEND-CONTRACT"
