"""MXNet's names for our weights: of Gluon's model zoo, of our own Gluon models, and of symbols.

All keep our axes. Batch norm's `weight` and `bias` are `gamma` and `beta`.

The model zoo (mxnet.gluon.model_zoo.vision) counts the children of `features`; a ReLU is a child in VGG and a part of
its layer in AlexNet. Its AlexNet drops out behind fc6 and fc7, ours, as published, before: without training it is the
same. Its ResNet-50 and deeper stride in the first 1x1 convolution, ours in the 3x3: these are other networks.
"""

import re
from collections.abc import Mapping

from verydeep.errors import WeightsError
from verydeep.families.alexnet import alexnet
from verydeep.families.resnet import resnet
from verydeep.spec import BatchNorm, Conv, Flatten, Layer, Linear, Network, Pool, ReLU, walk
from verydeep.weights import imagenet, nested
from verydeep.weights.fit import AnyArray, renamed
from verydeep.weights.form import as_vgg, form

ZOO_PREPROCESSING = imagenet.MEAN_AND_DEVIATION  # mxnet.gluon.model_zoo.vision: "normalize"

NORM_NAMES = {"weight": "gamma", "bias": "beta"}
ZOO_RESNETS = (18, 34)
FIRST_STAGE = 4  # the child of `features` that holds the first residual units


def zoo_names(network: Network) -> dict[str, str]:
    """The zoo's key of every canonical name, as `save_parameters` writes it: conv1_1.weight is features.0.weight.

    Raises:
        WeightsError: Gluon's model zoo has no such network.
    """
    return _names(network, places=_zoo_places(network), separator=".")


def model_names(network: Network) -> dict[str, str]:
    """What `save_parameters` writes of a model of our backend: block1.bn1_1.gamma is bn1_1.weight."""
    return _names(network, places=nested.places(network), separator=".")


def symbol_names(network: Network) -> dict[str, str]:
    """What `export` writes of such a model, and what the old Module checkpoints of VGG have: conv1_1_weight."""
    return _names(network, places={step.layer.name: step.layer.name for step in walk(network)}, separator="_")


def from_zoo(network: Network, arrays: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """The arrays of a zoo model under canonical names, as they are.

    Raises:
        WeightsError: Gluon's model zoo has no such network, or keys are missing, unknown or of another shape.
    """
    return renamed(network, arrays, names=zoo_names(network))


def from_model(network: Network, arrays: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """The same for `save_parameters` of a model of our backend; WeightsError as above."""
    return renamed(network, arrays, names=model_names(network))


def from_symbol(network: Network, arrays: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """The same for what `export` writes, and for Module checkpoints; WeightsError as above."""
    return renamed(network, arrays, names=symbol_names(network))


def _names(network: Network, *, places: Mapping[str, str], separator: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for step in walk(network):
        arrays = NORM_NAMES if isinstance(step.layer, BatchNorm) else {}
        for weight in step.layer.weights(step.before):
            key = arrays.get(weight.name, weight.name)
            names[f"{step.layer.name}.{weight.name}"] = f"{places[step.layer.name]}{separator}{key}"
    return names


def _zoo_places(network: Network) -> dict[str, str]:
    """The zoo's block for each layer with weights."""
    found = form(network)
    if found == form(as_vgg(network)) and len(_linears(network)) == 3:
        return _by_position(network, children=(Conv, BatchNorm, ReLU, Pool))
    if found == form(alexnet()):
        return _by_position(network, children=(Conv, Pool, Flatten))
    if found in (form(resnet(depth)) for depth in ZOO_RESNETS):
        return {step.layer.name: _in_resnet(step.layer.name) for step in walk(network)}
    raise WeightsError(
        f"{network.name} has no form in Gluon's model zoo",
        code="WEIGHTS-NO-FORM",
        hint="It has VGG (3x3 convolutions, three fully connected layers), AlexNet, resnet18 and resnet34 like ours.",
    )


def _by_position(network: Network, *, children: tuple[type[Layer], ...]) -> dict[str, str]:
    """Layers of these kinds up to Flatten are features.0, features.1 ..., behind them each Linear and its dropout."""
    layers = [step.layer for step in walk(network)]
    middle = next(position for position, layer in enumerate(layers) if isinstance(layer, Flatten))
    body = [layer.name for layer in layers[: middle + 1] if isinstance(layer, children)]
    *hidden, last = _linears(network)
    head = {name: f"features.{len(body) + 2 * position}" for position, name in enumerate(hidden)}
    return {name: f"features.{position}" for position, name in enumerate(body)} | head | {last: "output"}


def _linears(network: Network) -> list[str]:
    return [step.layer.name for step in walk(network) if isinstance(step.layer, Linear)]


def _in_resnet(layer: str) -> str:
    """conv2_1a is features.4.0.body.0, bn2_1b is features.4.0.body.4, conv3_1s is features.5.0.downsample.0."""
    found = re.fullmatch(r"(conv|bn)(\d)_(\d+)([abs])", layer)
    if not found:
        return {"conv1": "features.0", "bn1": "features.1", "fc": "output"}.get(layer, layer)
    kind, stage, unit, part = found.groups()
    child = int(kind == "bn")
    inside = f"downsample.{child}" if part == "s" else f"body.{3 * 'ab'.index(part) + child}"
    return f"features.{FIRST_STAGE + int(stage) - 2}.{int(unit) - 1}.{inside}"
