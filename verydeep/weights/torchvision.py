"""torchvision's names for our weights: VGG, AlexNet, GoogLeNet (our `googlenet_bn`) and the ImageNet ResNets.

Both libraries keep the same arrays in the same axes, so this is a change of names and nothing else.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from verydeep.errors import WeightsError
from verydeep.families.alexnet import alexnet
from verydeep.families.googlenet import googlenet_bn
from verydeep.families.resnet import UNITS, resnet
from verydeep.preprocessing import Preprocessing
from verydeep.spec import Flatten, Network, walk
from verydeep.weights import imagenet
from verydeep.weights.fit import AnyArray, refuse_misfit, renamed, shapes
from verydeep.weights.form import Form, as_vgg, form
from verydeep.weights.nested import COUNTER

Array = npt.NDArray[Any]

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
    return with_counters({key: weights[name] for name, key in names(network).items()})


def with_counters(state: Mapping[str, Array]) -> dict[str, Array]:
    """`state` and, behind each `running_var`, the `num_batches_tracked` that PyTorch's batch norm has, 0."""
    complete: dict[str, Array] = {}
    for key, array in state.items():
        complete[key] = array
        if key.endswith(".running_var"):
            complete[key.replace("running_var", COUNTER)] = np.array(0)
    return complete


def preprocessing(network: Network) -> Preprocessing | None:
    """How torchvision feeds its own weights: `ImageClassification(crop_size=224)`; GoogLeNet's in another range.

    None for ResNets: torchvision has two sets of weights of most, IMAGENET1K_V1 for a shorter side of 256 pixels and
    IMAGENET1K_V2 for 232, and the arrays do not tell which these are; timm has more, for still other crops.
    """
    if form(network) in _resnets():
        return None
    record = imagenet.MEAN_AND_DEVIATION
    if form(network) in _googlenets():  # `transform_input`: its weights come from TensorFlow, for numbers from -1 to 1
        record = replace(record, mean=(127.5,) * 3, std=(127.5,) * 3)
    return imagenet.where_it_applies(record, network)


def names(network: Network) -> dict[str, str]:
    """The key in torchvision of every canonical name, in the order of both: conv5_3.weight is features.28.weight.

    Raises:
        WeightsError: torchvision has no such network.
    """
    places = _places(network)
    return {name: f"{places[layer]}.{array}" for name in shapes(network) for layer, array in [name.split(".")]}


def _places(network: Network) -> dict[str, str]:
    """The module of torchvision's that each layer with weights is."""
    found = form(network)
    for sequential in (as_vgg(network), alexnet()):
        if found == form(sequential):
            return _by_position(sequential)
    for others, place in ((_googlenets(), _googlenet), (_resnets(), _resnet)):
        if found in others:
            return {step.layer.name: place(step.layer.name) for step in walk(network)}
    raise WeightsError(
        f"{network.name} has no torchvision form",
        code="WEIGHTS-NO-FORM",
        hint="torchvision has VGG (3x3 convolutions, with or without batch norm), AlexNet, googlenet_bn and ResNets; "
        "write the others as safetensors.",
    )


@cache
def _googlenets() -> tuple[Form, ...]:
    return (form(googlenet_bn()),)


@cache
def _resnets() -> tuple[Form, ...]:
    return tuple(form(resnet(depth)) for depth in UNITS)


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
