"""The contract notices: for each of its rules, a backend that breaks only this one is refused.

The mistakes are real ones: released libraries dropped the ReLU after fc6, divided LRN's alpha, or mixed up epsilons.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from tests.contract.pytorch_backend import PyTorch
from verydeep.backends import pytorch
from verydeep.backends.check import check_backend, check_network, narrow
from verydeep.backends.numpy_reference import Mode
from verydeep.errors import VerificationError
from verydeep.families.catalog import CATALOG
from verydeep.spec import Block, Conv, Network

Array = npt.NDArray[Any]
Arrays = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Sabotaged:
    """The PyTorch backend with one thing broken: the model, its outputs or the weights that it gives back."""

    model: Callable[[nn.Sequential], object] = lambda model: None
    outputs: Callable[[Arrays], Arrays] = lambda outputs: outputs
    weights: Callable[[Arrays], Arrays] = lambda arrays: arrays

    def build(self, network: Network, arrays: Mapping[str, Array]) -> nn.Sequential:
        model = PyTorch().build(network, arrays)
        self.model(model)
        return model

    def run(self, model: nn.Sequential, images: Array, *, mode: Mode, taps: Iterable[str]) -> Arrays:
        return self.outputs(PyTorch().run(model, images, mode=mode, taps=taps))

    def get_weights(self, model: nn.Sequential) -> Arrays:
        return self.weights(PyTorch().get_weights(model))


def each(model: nn.Module, kind: type[Any]) -> Iterator[Any]:
    return (module for module in model.modules() if type(module) is kind)


def replace(model: nn.Module, name: str, new: nn.Module) -> None:
    """Put `new` where the layer of this name is, if the network has it."""
    for place, _ in list(model.named_modules()):
        if place.split(".")[-1] == name:
            model.set_submodule(place, new)


def change(kind: type[Any], **values: Any) -> Callable[[nn.Sequential], None]:
    """Give each module of a kind other values of its attributes."""

    def damage(model: nn.Sequential) -> None:
        for module in each(model, kind):
            for name, value in values.items():
                setattr(module, name, value(module) if callable(value) else value)

    return damage


def recompute(kind: type[Any], forward: Callable[[Any, Tensor], Tensor]) -> Callable[[nn.Sequential], None]:
    """Let each module of a kind compute something else."""

    def damage(model: nn.Sequential) -> None:
        for module in each(model, kind):
            module.forward = lambda x, module=module: forward(module, x)

    return damage


def drop(name: str) -> Callable[[nn.Sequential], None]:
    return lambda model: replace(model, name, nn.Identity())


def joined_backwards(module: pytorch.Paths, x: Tensor) -> Tensor:
    outputs = [path(x) for path in module.children()][::-1]
    return torch.cat(outputs, dim=1) if module.join == "concat" else torch.stack(outputs).sum(0)


def last_path_lost(module: pytorch.Paths, x: Tensor) -> Tensor:
    outputs = [path(x) for path in module.children()]
    return torch.cat(outputs, dim=1) if module.join == "concat" else outputs[0]


def biased_variance(module: Any, x: Tensor) -> Tensor:
    """What Keras and Flax do: the running variance follows the batch's variance divided by n, not by n - 1."""
    before = module.running_var.clone()
    y = nn.BatchNorm2d.forward(module, x)
    count = x.numel() // x.shape[1]
    if module.training:
        batch = (module.running_var - (1 - module.momentum) * before) / module.momentum
        module.running_var.copy_((1 - module.momentum) * before + module.momentum * batch * (count - 1) / count)
    return y


MODELS: dict[str, Callable[[nn.Sequential], object]] = {
    "the ReLU after fc6 is missing": drop("relu6"),
    "the ReLU of a residual unit is missing": drop("relu3_1"),
    "a ReLU works in place": change(nn.ReLU, inplace=True),
    "tanh is a ReLU": recompute(nn.Tanh, lambda _, x: x.relu()),
    "LRN's alpha is divided by its size": change(nn.LocalResponseNorm, alpha=lambda module: module.alpha / module.size),
    "LRN's k is 1": change(nn.LocalResponseNorm, k=lambda module: 1.0 if module.k != 1 else 2.0),
    "LRN is missing": recompute(nn.LocalResponseNorm, lambda _, x: x),
    "Flatten puts channels last": recompute(nn.Flatten, lambda _, x: x.permute(0, 2, 3, 1).flatten(1)),
    "average pools count their padding": change(nn.AvgPool2d, count_include_pad=True),
    "a mean over the whole map is a maximum": recompute(
        pytorch.WholeMapPool, lambda _, x: x.amax((2, 3), keepdim=True)
    ),
    "paths are put side by side backwards": recompute(pytorch.Paths, joined_backwards),
    "a shortcut is not added": recompute(pytorch.Paths, last_path_lost),
    "batch norm has an epsilon of 1e-3": change(nn.BatchNorm2d, eps=1e-3),
    "batch norm always uses the batch": recompute(
        nn.BatchNorm2d, lambda m, x: nn.functional.batch_norm(x, None, None, m.weight, m.bias, True, m.momentum, m.eps)
    ),
    "momentum has the other sense": change(nn.BatchNorm2d, momentum=lambda module: 1 - module.momentum),
    "the running variance is biased": recompute(nn.BatchNorm2d, biased_variance),
    "a bias is forgotten": recompute(
        nn.Conv2d, lambda m, x: nn.functional.conv2d(x, m.weight, None, m.stride, m.padding, m.dilation, m.groups)
    ),
    "kernels are convolved, not correlated": recompute(
        nn.Conv2d, lambda module, x: module._conv_forward(x, module.weight.flip(2, 3), module.bias)
    ),
    "new channels all come at the end": recompute(
        pytorch.ZeroChannels, lambda m, x: nn.functional.pad(x, (0, 0, 0, 0, 0, m.before + m.after))
    ),
    "uneven padding is put on the other side": change(
        pytorch.UnevenConv2d, sides=lambda module: tuple((after, before) for before, after in module.sides)
    ),
}

OUTPUTS: dict[str, Callable[[Arrays], Arrays]] = {
    "maps come out with channels last": lambda found: {
        name: array.transpose(0, 2, 3, 1) if array.ndim == 4 else array for name, array in found.items()
    },
    "outputs are half precision": lambda found: {name: array.astype(np.float16) for name, array in found.items()},
    "outputs are not numbers": lambda found: {name: array * np.nan for name, array in found.items()},
    "a tap is missing": lambda found: dict(list(found.items())[1:]),
}

WEIGHTS: dict[str, Callable[[Arrays], Arrays]] = {
    "kernels come out transposed": lambda arrays: {
        name: array.swapaxes(0, 1) if array.ndim == 4 else array for name, array in arrays.items()
    },
    "an array is lost": lambda arrays: dict(list(arrays.items())[1:]),
    "an array is added": lambda arrays: {**arrays, "momentum.buffer": np.zeros(1, np.float32)},
    "weights come out rounded": lambda arrays: {name: array.round(3) for name, array in arrays.items()},
}

SABOTAGES = {
    **{name: Sabotaged(model=damage) for name, damage in MODELS.items()},
    **{name: Sabotaged(outputs=damage) for name, damage in OUTPUTS.items()},
    **{name: Sabotaged(weights=damage) for name, damage in WEIGHTS.items()},
}


@pytest.mark.parametrize("mistake", SABOTAGES)
def test_a_backend_with_one_mistake_is_refused(mistake: str):
    with pytest.raises(VerificationError) as caught:
        check_backend(SABOTAGES[mistake])
    assert caught.value.code == "BACKEND-CONTRACT"


def test_the_refusal_names_network_mode_layer_and_error():
    with pytest.raises(VerificationError, match=r"^vgg16 in eval mode: relu6 is off by [0-9.e+-]+ of its largest"):
        check_network(Sabotaged(model=drop("relu6")), narrow("vgg16", CATALOG["vgg16"]))


@pytest.mark.parametrize(
    ("damage", "net", "words"),
    [
        (change(nn.MaxPool2d, ceil_mode=False), narrow("nin", CATALOG["nin"]), "pool1 gives (6, 12, 15, 15), not"),
        (
            change(nn.Conv2d, dilation=(1, 1)),
            Network("far", (2, 9, 9), (Block("body", (Conv("conv", 3, (3, 3), dilation=(2, 2)),)),)),
            "conv gives (6, 3, 7, 7), not (6, 3, 5, 5)",
        ),
    ],
    ids=["a pool rounds down", "dilation is ignored"],
)
def test_a_layer_of_another_size_is_refused_with_both_sizes(damage: Any, net: Network, words: str):
    with pytest.raises(VerificationError) as caught:
        check_network(Sabotaged(model=damage), net)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["vgg11", "vgg16", "vgg19_bn", "alexnet"])
def test_a_missing_relu_is_noticed_in_the_network_itself(name: str):
    with pytest.raises(VerificationError):
        check_network(Sabotaged(model=drop("relu6")), narrow(name, CATALOG[name]))


def test_the_untouched_backend_keeps_the_contract():
    assert len(check_network(Sabotaged(), narrow("vgg11_lrn_bn", CATALOG["vgg11_lrn_bn"]))) == 2
