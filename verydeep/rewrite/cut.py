"""The same network with another end or another beginning: cut short, with another head, for another input size."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from verydeep.errors import SpecError
from verydeep.spec import Block, Conv, Layer, Linear, Network, Parallel, Shape, walk


def cut(network: Network, layer_name: str) -> Network:
    """`network` up to the named layer, which becomes the last: ``cut(net, "relu3_3")``, ``cut(net, "fc7")``.

    The weights are those of `network` that are left; see ``spec.weights``.

    Raises:
        SpecError: no layer has this name, or it is inside a join, where the network cannot stop.
    """
    blocks: list[Block] = []
    for block in network.blocks:
        for position, layer in enumerate(block.layers, start=1):
            if layer.name == layer_name:
                last = Block(block.name, block.layers[:position])
                return replace(network, name=f"{network.name}_{layer_name}", blocks=(*blocks, last))
            if layer_name in _names(layer):
                raise SpecError(
                    f"{network.name} cannot stop at {layer_name}: it is on one of the paths of {layer.name}",
                    hint=f"Cut at {layer.name}, or read {layer_name} as a tap.",
                )
        blocks.append(block)
    names = ", ".join(step.layer.name for step in walk(network))
    raise SpecError(f"{network.name} has no layer {layer_name!r}", hint=f"Its layers: {names}.")


def until(network: Network, layers: Iterable[str]) -> Network:
    """`network` up to the last of these layers, or to the end of the join that holds it; the name stays.

    Raises:
        SpecError: one of them is not there, or there is none.
    """
    wanted, last = set(layers), ""
    missing = set(wanted)
    for block in network.blocks:
        for layer in block.layers:
            if not wanted.isdisjoint(names := set(_names(layer))):
                last = layer.name
                missing -= names
    if missing or not wanted:
        raise SpecError(f"{network.name} has no layer {min(missing, default='')!r}")
    return replace(cut(network, last), name=network.name)


def with_head(network: Network, *, classes: int) -> Network:
    """`network` for another number of classes: its last Linear, or the last Conv where none follows (NiN), changes.

    The names stay; the arrays in `head_weights` have other shapes, all others fit both networks.

    Raises:
        SpecError: the network does not end in such a layer.
    """
    name = _head(network).name
    blocks = tuple(
        Block(block.name, tuple(_resized(layer, classes) if layer.name == name else layer for layer in block.layers))
        for block in network.blocks
    )
    changed = replace(network, blocks=blocks)
    if changed.classes != classes:
        raise SpecError(f"{network.name} has no head: behind {name} the classes are mixed with places of the map")
    return changed


def head_weights(network: Network) -> tuple[str, ...]:
    """The names of the arrays that `with_head` changes, such as ("fc8.weight", "fc8.bias")."""
    head = _head(network)
    return tuple(
        f"{head.name}.{weight.name}"
        for step in walk(network)
        if step.layer == head
        for weight in head.weights(step.before)
    )


def resize(network: Network, input: Shape) -> Network:
    """The same layers for images of another size: (channels, height, width).

    A dense form keeps all its weights. Others may not: fc6 reads the whole map, so its weight has another shape (and
    conv1_1, if the channels change). Layers neither come nor go: a VGG that was made for 16 pixels has no pool5, and
    at 224 it has none either; ``families.vgg.vgg`` makes the network that a size deserves.

    Raises:
        SpecError: a layer no longer fits.
    """
    return replace(network, input=input)


def _head(network: Network) -> Conv | Linear:
    """The last layer that has weights."""
    last = next((step.layer for step in reversed(walk(network)) if step.layer.weights(step.before)), None)
    is_outside = any(layer == last for block in network.blocks for layer in block.layers)
    if last is None or not is_outside or not isinstance(last, Conv | Linear):
        found = "no layer has weights" if last is None else f"the last layer with weights is {last.name}"
        raise SpecError(
            f"{network.name} has no head to change: {found}",
            hint="A head is a Linear or Conv behind all joins; only ReLU, pools and the like may follow it.",
        )
    return last


def _resized(layer: Layer, outputs: int) -> Layer:
    if isinstance(layer, Conv):
        return replace(layer, channels=outputs)
    return replace(layer, features=outputs) if isinstance(layer, Linear) else layer


def _names(layer: Layer) -> Iterator[str]:
    """Of a layer, and of those on its paths if it is a join."""
    yield layer.name
    if isinstance(layer, Parallel):
        for path in layer.paths:
            for inner in path:
                yield from _names(inner)
