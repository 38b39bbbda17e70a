"""The numbers that papers print of a network, counted from its description alone."""

from math import prod

from verydeep.spec import Conv, Linear, Network, walk


def parameters(network: Network, *, kind: type[Conv] | type[Linear] | None = None) -> int:
    """Learned numbers, of all layers or of one kind."""
    return sum(
        prod(weight.shape)
        for step in walk(network)
        if kind is None or isinstance(step.layer, kind)
        for weight in step.layer.weights(step.before)
        if weight.learned
    )


def macs(network: Network) -> int:
    """Multiply-accumulate operations of one image."""
    return sum(step.layer.macs(step.before) for step in walk(network))


def names(network: Network) -> list[str]:
    """The layers in the order of computation."""
    return [step.layer.name for step in walk(network)]


def receptive_field(network: Network, layer: str) -> int:
    """The side of the square that one position of the layer's output sees."""
    (window,) = {step.after.receptive_field for step in walk(network) if step.layer.name == layer}
    assert window[0] == window[1]
    return window[0]
