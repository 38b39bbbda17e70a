"""Where a program keeps the axes of a kernel or matrix, written in letters, and the way to ours and back.

"H W I O" is a kernel as Keras stores it: height, width, inputs, outputs. Letters in brackets are one axis:
"(H W I) O" is the matrix of a fully connected layer that reads a map flattened row by row with the channels last, and
"O (I H W)" is ours. A layer that reads no map has H = W = 1.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from verydeep.spec import Flatten, Linear, Network, Shape, walk
from verydeep.weights.fit import refuse_misfit, shapes

Array = npt.NDArray[Any]

OURS = "OIHW"
KERNEL = "O I H W"
MATRIX = "O (I H W)"
VECTOR = "O"


@dataclass(frozen=True, slots=True)
class Stored:
    """One array as a program stores it: under which key, and with which axes."""

    key: str
    axes: str
    sizes: dict[str, int]  # of O, I, H and W

    @property
    def shape(self) -> Shape:
        """The shape in the file."""
        return tuple(math.prod(self.sizes[letter] for letter in axis) for axis in _axes(self.axes))


def stored(
    network: Network, keys: Mapping[str, str], *, kernel: str = KERNEL, matrix: str = MATRIX, head: str | None = None
) -> dict[str, Stored]:
    """Every array of `network` as a program stores it, by canonical name.

    Args:
        network: Whose arrays.
        keys: The program's key of every canonical name.
        kernel: The axes of a convolution's weight.
        matrix: The axes of a fully connected layer's weight.
        head: The axes of the last layer's weight; None: as its kind has them.
    """
    places: dict[str, Stored] = {}
    height, width = 1, 1  # of the map that a Flatten made flat and that no layer has read yet
    last = ""
    for step in walk(network):
        if isinstance(step.layer, Flatten):
            _, height, width = step.before.shape
        for weight in step.layer.weights(step.before):
            name = f"{step.layer.name}.{weight.name}"
            sizes = dict(zip(OURS, (*weight.shape, 1, 1, 1), strict=False))
            if len(weight.shape) == 1:
                places[name] = Stored(keys[name], VECTOR, sizes)
            elif isinstance(step.layer, Linear):
                sizes = {"O": weight.shape[0], "I": weight.shape[1] // (height * width), "H": height, "W": width}
                places[last := name] = Stored(keys[name], matrix, sizes)
                height, width = 1, 1
            else:
                places[last := name] = Stored(keys[name], kernel, sizes)
    if head is not None:
        places[last] = replace(places[last], axes=head)
    return places


def to_ours(network: Network, arrays: Mapping[str, Array], *, places: Mapping[str, Stored]) -> dict[str, Array]:
    """The arrays of a program, under its keys, as canonical weights: views of the same memory where that can be.

    Raises:
        WeightsError: keys are missing, unknown or of another shape; in the program's own names and shapes.
    """
    refuse_misfit({place.key: place.shape for place in places.values()}, arrays, of=network.name)
    expected = shapes(network)
    return {name: _turn(arrays[place.key], place).reshape(expected[name]) for name, place in places.items()}


def from_ours(network: Network, weights: Mapping[str, Array], *, places: Mapping[str, Stored]) -> dict[str, Array]:
    """Canonical weights as the program stores them, under its keys.

    Raises:
        WeightsError: `weights` are not those of `network`.
    """
    refuse_misfit(shapes(network), weights, of=network.name)
    return {place.key: _turn_back(weights[name], place) for name, place in places.items()}


def _turn(array: Array, place: Stored) -> Array:
    """From the program's order of axes to O, I, H, W."""
    letters = "".join(_axes(place.axes))
    apart = array.reshape([place.sizes[letter] for letter in letters])
    return apart.transpose([letters.index(letter) for letter in OURS if letter in letters])


def _turn_back(array: Array, place: Stored) -> Array:
    """From O, I, H, W to the program's order of axes."""
    letters = "".join(_axes(place.axes))
    ours = [letter for letter in OURS if letter in letters]
    apart = array.reshape([place.sizes[letter] for letter in ours])
    turned = apart.transpose([ours.index(letter) for letter in letters])
    return np.ascontiguousarray(turned).reshape(place.shape)


def _axes(axes: str) -> list[str]:
    """The letters of each axis: "(H W I) O" is ["HWI", "O"]."""
    return [(several or one).replace(" ", "") for several, one in re.findall(r"\(([A-Z ]+)\)|([A-Z])", axes)]


def as_hwio(array: Array) -> Array:
    """A kernel OIHW as HWIO, a matrix (out, in) as (in, out), a vector as it is: what Keras and Flax hold."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def from_hwio(array: Array) -> Array:
    """A kernel HWIO as OIHW, a matrix (in, out) as (out, in), a vector as it is."""
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
