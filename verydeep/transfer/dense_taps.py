"""A network as the source of features: fully convolutional, in an engine, read at layers by their names."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from verydeep.backends import pytorch, refusals
from verydeep.engine.choice import Choice
from verydeep.engine.engine import Engine
from verydeep.errors import SpecError
from verydeep.rewrite.cut import head_weights
from verydeep.rewrite.dense import dense, dense_weights, is_dense
from verydeep.run import Run
from verydeep.settings.config import Config
from verydeep.spec import Dropout, Network


@dataclass(frozen=True, slots=True, eq=False)
class DenseTaps:
    """What computes the maps of `layers`: images (n, c, h, w) of any size to (n, channels, h', w') by name."""

    network: Network  # fully convolutional
    layers: tuple[str, ...]
    compute: Callable[[Tensor], dict[str, Tensor]]


def penultimate(network: Network) -> str:
    """The last layer before the classifier, past any dropout: relu7 in a VGG, pool5 where it has no fc6.

    The paper takes the activations of "the penultimate layer": those behind its ReLU, as here. What fc7 gives before
    the ReLU has its own name, "fc7".

    Raises:
        SpecError: the network has no classifier, or nothing before it.
    """
    layers = [layer for block in dense_form(network).blocks for layer in block.layers]
    head = head_weights(network)[0].rpartition(".")[0]
    before = layers[: [layer.name for layer in layers].index(head)]
    kept = [layer.name for layer in before if not isinstance(layer, Dropout)]
    if not kept:
        raise SpecError(f"{network.name} has no layer before {head}", hint="Name a layer: --layers NAME.")
    return kept[-1]


def dense_taps(run: Run, layers: Iterable[str], *, choice: Choice, device: torch.device) -> DenseTaps:
    """The run's network in the chosen engine, computed no further than the deepest of `layers`.

    Raises:
        ConfigError: no layer of the dense form has this name.
        SpecError: the network has no dense form.
    """
    network = dense_form(run.network)
    wanted = refusals.known(network, layers)
    arrays = run.weights if network is run.network else dense_weights(run.network, run.weights)
    if choice.engine == "verydeep":
        engine = Engine(network, arrays)
        return DenseTaps(network, wanted, lambda images: engine.features(images, wanted))
    model = pytorch.build(network, arrays, layout=(run.settings or Config()).layout).eval().to(device)
    return DenseTaps(network, wanted, lambda images: pytorch.run(model, images.to(device), taps=wanted))


def dense_form(network: Network) -> Network:
    """The network's fully convolutional form; itself, if it has no layer that reads a whole map."""
    return network if is_dense(network) else dense(network)
