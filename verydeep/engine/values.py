"""A network as values: what each layer computes, from which others, no further than some layers of it need."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

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
    Shape,
    Tanh,
    walk,
)

Computed: TypeAlias = Conv | Pool | Linear | BatchNorm | ReLU | Tanh | LRN | Flatten | PadChannels | Parallel

IMAGES = ""  # the name of the network's input; no layer can have it


@dataclass(frozen=True, slots=True)
class Value:
    """What a layer computes; its name is the layer's. A `Parallel` is the join of its paths' ends."""

    layer: Computed
    reads: tuple[str, ...]
    shape: Shape  # of one image

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name


@dataclass(frozen=True, slots=True)
class Values:
    """The values that some layers of a network need, in the order of computation."""

    images: Shape
    computed: tuple[Value, ...]
    taps: Mapping[str, str]  # layer that was asked for: the value that it gives (another's, where it computes nothing)


def values(network: Network, taps: Iterable[str]) -> Values:
    """What must be computed for the outputs of `taps`, names of the network's layers; dropout computes nothing."""
    shapes = {step.layer.name: step.after.shape for step in walk(network)}
    computed: list[Value] = []
    given: dict[str, str] = {}
    end = IMAGES
    for block in network.blocks:
        end = _sequence(block.layers, end, shapes, computed, given)
    wanted = {tap: given[tap] for tap in taps}
    needed = set(wanted.values())
    for value in reversed(computed):
        if value.name in needed:
            needed.update(value.reads)
    return Values(network.input, tuple(value for value in computed if value.name in needed), wanted)


def _sequence(
    layers: tuple[Layer, ...], start: str, shapes: Mapping[str, Shape], computed: list[Value], given: dict[str, str]
) -> str:
    """Append the layers' values and note which value each layer gives; the last one's."""
    end = start
    for layer in layers:
        if isinstance(layer, Dropout):
            given[layer.name] = end
            continue
        if isinstance(layer, Parallel):
            reads = tuple(_sequence(path, end, shapes, computed, given) for path in layer.paths)
        else:
            reads = (end,)
        computed.append(Value(layer, reads, shapes[layer.name]))
        given[layer.name] = end = layer.name
    return end


def reads_without_negatives(network: Network) -> dict[str, str]:
    """The convolutions that read nothing negative, whatever the images and the weights; each with what it reads."""
    computed = values(network, [step.layer.name for step in walk(network)]).computed
    makers = {value.name: value for value in computed}
    return {
        value.name: value.reads[0]
        for value in computed
        if isinstance(value.layer, Conv) and _is_never_negative(value.reads[0], makers)
    }


def _is_never_negative(name: str, makers: Mapping[str, Value]) -> bool:
    if name == IMAGES:
        return False
    value = makers[name]
    if isinstance(value.layer, Pool | LRN | Flatten | PadChannels | Parallel):
        return all(_is_never_negative(read, makers) for read in value.reads)
    return isinstance(value.layer, ReLU)
