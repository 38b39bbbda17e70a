"""torchvision's names for our weights: VGG, AlexNet, GoogLeNet (our `googlenet_bn`) and the ImageNet ResNets.

Both libraries keep the same arrays in the same axes, so this is a change of names and nothing else.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from verydeep.errors import WeightsError
from verydeep.families.alexnet import alexnet
from verydeep.families.googlenet import googlenet_bn
from verydeep.families.resnet import UNITS, resnet
from verydeep.families.vgg import vgg
from verydeep.spec import (
    LRN,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Network,
    PadChannels,
    Parallel,
    Pool,
    ReLU,
    Tanh,
    walk,
)
from verydeep.weights.fit import AnyArray, refuse_misfit, renamed, shapes
from verydeep.weights.nested import COUNTER

Array = npt.NDArray[Any]
Form = tuple[object, ...]

AUXILIARY = ("aux1.", "aux2.")  # GoogLeNet's classifiers of training

INCEPTION = {  # where torchvision keeps the paths of an inception module
    "1x1": "branch1",
    "3x3_reduce": "branch2.0",
    "3x3": "branch2.1",
    "5x5_reduce": "branch3.0",
    "5x5": "branch3.1",
    "pool_proj": "branch4.1",
}
STEM = {"conv1": "conv1", "conv2_reduce": "conv2", "conv2": "conv3"}  # GoogLeNet's first convolutions


def from_torchvision(network: Network, state: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """The arrays of a torchvision state dict under canonical names, as they are.

    Batch norm's `num_batches_tracked` and GoogLeNet's auxiliary classifiers (`aux1.*`, `aux2.*`) are left behind: no
    answer depends on them.

    Raises:
        WeightsError: torchvision has no such network, or keys are missing, unknown or of another shape.
    """
    keys = names(network)
    left_behind = AUXILIARY if "inception3a.branch1.conv.weight" in keys.values() else ()
    kept = {key: array for key, array in state.items() if not (key.endswith(COUNTER) or key.startswith(left_behind))}
    return renamed(network, kept, names=keys)


def to_torchvision(network: Network, weights: Mapping[str, Array]) -> dict[str, Array]:
    """The weights as torchvision's `load_state_dict` takes them (each through ``torch.from_numpy``), in its order.

    Batch norm's `num_batches_tracked` is made, 0.

    Raises:
        WeightsError: torchvision has no such network, or `weights` are not those of `network`.
    """
    refuse_misfit(shapes(network), weights, of=network.name)
    state: dict[str, Array] = {}
    for name, key in names(network).items():
        state[key] = weights[name]
        if key.endswith(".running_var"):
            state[key.replace("running_var", COUNTER)] = np.array(0)
    return state


def names(network: Network) -> dict[str, str]:
    """The key in torchvision of every canonical name, in the order of both: conv5_3.weight is features.28.weight.

    Raises:
        WeightsError: torchvision has no such network.
    """
    places = _places(network)
    return {name: f"{places[layer]}.{array}" for name in shapes(network) for layer, array in [name.split(".")]}


def _places(network: Network) -> dict[str, str]:
    """The module of torchvision's that each layer with weights is."""
    form = _form(network)
    for sequential in (_as_vgg(network), alexnet()):
        if form == _form(sequential):
            return _by_position(sequential)
    for others, place in ((_googlenets(), _googlenet), (_resnets(), _resnet)):
        if form in others:
            return {step.layer.name: place(step.layer.name) for step in walk(network)}
    raise WeightsError(
        f"{network.name} has no torchvision form",
        code="WEIGHTS-NO-FORM",
        hint="torchvision has VGG (3x3 convolutions, with or without batch norm), AlexNet, googlenet_bn and ResNets; "
        "write the others as safetensors.",
    )


@cache
def _googlenets() -> tuple[Form, ...]:
    return (_form(googlenet_bn()),)


@cache
def _resnets() -> tuple[Form, ...]:
    return tuple(_form(resnet(depth)) for depth in UNITS)


def _form(network: Network) -> Form:
    """What must be equal in two networks for them to differ only in sizes that a user chooses."""
    return tuple(form for step in walk(network) for form in _layer_form(step.layer))


def _layer_form(layer: Layer) -> Form:
    match layer:
        case Conv():
            return (replace(layer, channels=1),)
        case Linear():
            return (replace(layer, features=1),)
        case Dropout():
            return ()  # our VGG leaves a rate of 0 out, torchvision's has the layer
        case Parallel():
            return (layer.name, layer.join)
        case Pool() | BatchNorm() | ReLU() | Tanh() | LRN() | Flatten() | PadChannels():
            return (layer,)
    assert_never(layer)


def _as_vgg(network: Network) -> Network:
    """The VGG with as many convolutions in each block and as many fully connected layers as `network`."""
    *body, head = network.blocks
    counts = [sum(isinstance(layer, Conv) for layer in block.layers) for block in body]
    hidden = sum(isinstance(layer, Linear) for layer in head.layers) - 1
    is_normalised = any(isinstance(step.layer, BatchNorm) for step in walk(network))
    return vgg(
        tuple((count, 1) for count in counts if count),
        input=network.input,
        fc=(1,) * hidden,
        batch_norm=is_normalised,
    )


def _by_position(network: Network) -> dict[str, str]:
    """The layers before Flatten are features.0, features.1 ..., those behind it classifier.0, classifier.1 ..."""
    layers = [step.layer for step in walk(network)]
    middle = next(position for position, layer in enumerate(layers) if isinstance(layer, Flatten))
    places = {layer.name: f"features.{position}" for position, layer in enumerate(layers[:middle])}
    return places | {layer.name: f"classifier.{position}" for position, layer in enumerate(layers[middle + 1 :])}


def _googlenet(layer: str) -> str:
    """bn_inception_3a_5x5_reduce is inception3a.branch3.0.bn."""
    name, module = (layer.removeprefix("bn_"), "bn") if layer.startswith("bn_") else (layer, "conv")
    if found := re.fullmatch(r"inception_(\d[a-e])_(\w+)", name):
        return f"inception{found[1]}.{INCEPTION.get(found[2], found[2])}.{module}"
    return f"{STEM[name]}.{module}" if name in STEM else name


def _resnet(layer: str) -> str:
    """conv2_1a is layer1.0.conv1, bn2_1s is layer1.0.downsample.1; conv1, bn1 and fc are called so in both."""
    found = re.fullmatch(r"(conv|bn)(\d)_(\d+)([abcs])", layer)
    if not found:
        return layer
    kind, stage, unit, part = found.groups()
    module = f"downsample.{int(kind == 'bn')}" if part == "s" else f"{kind}{'abc'.index(part) + 1}"
    return f"layer{int(stage) - 1}.{int(unit) - 1}.{module}"
