"""The keys of ``model.state_dict()`` for a model of the PyTorch backend: block1.conv1_1.weight."""

from collections.abc import Iterator, Mapping

from verydeep.spec import Layer, Network, Parallel
from verydeep.weights.fit import AnyArray, renamed, shapes

COUNTER = "num_batches_tracked"  # of each batch norm in PyTorch; with a fixed momentum nothing depends on it


def places(network: Network) -> dict[str, str]:
    """Every layer's module in the model; inside a join it tells the path: unit2_1.add2_1.path1.conv2_1a."""
    return {layer: place for block in network.blocks for layer, place in _places(block.layers, within=block.name)}


def names(network: Network) -> dict[str, str]:
    """The model's key for every canonical name: block1.conv1_1.weight for conv1_1.weight."""
    found = places(network)
    return {name: f"{found[layer]}.{array}" for name in shapes(network) for layer, array in [name.split(".")]}


def from_model(network: Network, state: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """The arrays of ``model.state_dict()`` under canonical names, as they are; batch norm's counters are left behind.

    Raises:
        WeightsError: keys are missing, unknown or of another shape.
    """
    kept = {key: array for key, array in state.items() if not key.endswith(COUNTER)}
    return renamed(network, kept, names=names(network))


def _places(layers: tuple[Layer, ...], *, within: str) -> Iterator[tuple[str, str]]:
    for layer in layers:
        place = f"{within}.{layer.name}"
        yield layer.name, place
        if isinstance(layer, Parallel):
            for number, path in enumerate(layer.paths, start=1):
                yield from _places(path, within=f"{place}.path{number}")
