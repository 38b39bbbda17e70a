"""A deeper network that starts from a trained shallow one (arXiv:1409.1556, section 3.1).

The paper takes "the first four convolutional layers and the last three fully connected layers" of net A. By position
that cannot be: A begins 3-64, 64-128, 128-256, 256-256 and the deeper columns begin 3-64, 64-64. By name it can:
conv1_1, conv2_1, conv3_1, conv3_2 and fc6, fc7, fc8 have the same shapes in columns A to E.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy.typing as npt

from verydeep.errors import SpecError
from verydeep.spec import BatchNorm, Conv, Linear, Network, Step, walk
from verydeep.weights.fit import refuse_misfit, shapes, some

Array = npt.NDArray[Any]

FIRST = 4  # convolutions of the shallow network that the deeper one takes over


def grow(network: Network, *, source: Network) -> tuple[str, ...]:
    """The layers that `network` takes from `source`: its first four convolutions and all its fully connected layers.

    Batch norm right behind such a layer comes along where both networks have it.

    Raises:
        SpecError: `network` lacks one of these layers or has it with another shape; names each.
    """
    target = {step.layer.name: step for step in walk(network)}
    taken = [step for step in _offered(source) if step.layer.name in target or not isinstance(step.layer, BatchNorm)]
    differences = [_difference(step, target.get(step.layer.name)) for step in taken]
    problems = [difference for difference in differences if difference]
    if problems:
        raise SpecError(
            f"{network.name} cannot start from {source.name}: {some(problems)}",
            hint="Give both the same width, input size, fully connected layers and classes.",
        )
    return tuple(step.layer.name for step in taken)


def grow_weights(
    network: Network, *, initial: Mapping[str, Array], source: Network, source_weights: Mapping[str, Array]
) -> dict[str, Array]:
    """`initial`, but the arrays of the layers that `grow` names are those of `source_weights`; no memory is copied.

    Raises:
        SpecError: as in `grow`.
        WeightsError: `initial` are not weights of `network`, or `source_weights` not of `source`.
    """
    layers = grow(network, source=source)
    refuse_misfit(shapes(network), initial, of=network.name)
    refuse_misfit(shapes(source), source_weights, of=source.name)
    return {name: (source_weights if name.split(".")[0] in layers else initial)[name] for name in shapes(network)}


def _offered(source: Network) -> Iterator[Step]:
    """The first convolutions and every fully connected layer of `source`, and batch norm right behind one of them."""
    convolutions, is_taken = 0, False
    for step in walk(source):
        if isinstance(step.layer, Conv):
            convolutions += 1
            is_taken = convolutions <= FIRST
        elif not isinstance(step.layer, BatchNorm):
            is_taken = isinstance(step.layer, Linear)
        if is_taken:
            yield step


def _difference(step: Step, found: Step | None) -> str:
    """Why the layer of `step` cannot be taken over; empty where it can."""
    name = step.layer.name
    if found is None:
        return f"it has no {name}"
    if found.layer.weights(found.before) != step.layer.weights(step.before):
        return f"{name} has {_arrays(found)}, not {_arrays(step)}"
    return ""


def _arrays(step: Step) -> str:
    weights = step.layer.weights(step.before)
    return " and ".join(f"{weight.name} {'x'.join(map(str, weight.shape))}" for weight in weights) or "no weights"
