"""Does another library have this network? Two networks have one form where only sizes differ that a user chooses."""

from dataclasses import replace
from typing import assert_never

from verydeep.errors import WeightsError
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

Form = tuple[object, ...]


def form(network: Network) -> Form:
    """What must be equal in two networks for them to differ only in channels, features, classes and dropout."""
    return tuple(part for step in walk(network) for part in _layer_form(step.layer))


def as_vgg(network: Network) -> Network:
    """The VGG with as many convolutions in each block and as many fully connected layers as `network`."""
    *body, head = network.blocks
    counts = [sum(isinstance(layer, Conv) for layer in block.layers) for block in body]
    hidden = sum(isinstance(layer, Linear) for layer in head.layers) - 1
    return vgg(
        tuple((count, 1) for count in counts if count),
        input=network.input,
        fc=(1,) * hidden,
        batch_norm=_is_normalised(network),
    )


def refuse_other_than_plain_vgg(network: Network, *, program: str) -> None:
    """Check that `network` is a VGG of 3x3 convolutions without batch norm, all that `program` has.

    Raises:
        WeightsError: it is another; code WEIGHTS-NO-FORM.
    """
    if _is_normalised(network) or form(network) != form(as_vgg(network)):
        raise WeightsError(
            f"{network.name} has no form in {program}",
            code="WEIGHTS-NO-FORM",
            hint=f"{program} has VGG with 3x3 convolutions and without batch norm.",
        )


def _is_normalised(network: Network) -> bool:
    return any(isinstance(step.layer, BatchNorm) for step in walk(network))


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
