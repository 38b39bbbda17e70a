"""The form of a network that takes images of a size: itself at its own, else fully convolutional, the same weights."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from verydeep.errors import ConfigError, SpecError
from verydeep.rewrite.cut import resize
from verydeep.rewrite.dense import dense, dense_weights
from verydeep.spec import Flatten, Linear, Network, Pair, walk

Weights = Mapping[str, npt.NDArray[Any]]


def form_for(network: Network, size: Pair) -> Network:
    """`network` for images of `size` (height, width) pixels.

    Raises:
        ConfigError: code BENCH-SIZE; it takes no images of this size.
    """
    if network.input[1:] == size:
        return network
    shape = (network.input[0], *size)
    try:
        return resize(dense(network) if _is_of_one_size(network) else network, shape)
    except SpecError as error:
        own = "x".join(map(str, network.input[1:]))
        raise ConfigError(
            f"{network.name} takes no images of {size[0]}x{size[1]}: {error.message}",
            code="BENCH-SIZE",
            hint=f"Its own size is {own}; larger ones are scored by its fully convolutional form.",
        ) from None


def weights_for(network: Network, weights: Weights, *, size: Pair) -> Weights:
    """The weights of `network` for `form_for(network, size)`: the same numbers."""
    is_itself = network.input[1:] == size or not _is_of_one_size(network)
    return weights if is_itself else dense_weights(network, weights)


def _is_of_one_size(network: Network) -> bool:
    return any(isinstance(step.layer, Flatten | Linear) for step in walk(network))
