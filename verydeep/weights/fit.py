"""Do these arrays fit this network? One answer for every format, in the names of that format."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from verydeep.errors import WeightsError
from verydeep.spec import Network, Shape, weights


class Shaped(Protocol):
    """A NumPy array, a tensor of any framework: whatever has a shape."""

    @property
    def shape(self) -> Any:
        """The lengths of the axes."""
        ...


AnyArray = TypeVar("AnyArray", bound=Shaped)


def shapes(network: Network) -> dict[str, Shape]:
    """The shape of every array of `network` by canonical name."""
    return {name: weight.shape for name, weight in weights(network).items()}


def refuse_misfit(expected: Mapping[str, Shape], arrays: Mapping[str, Shaped], *, of: str) -> None:
    """Check that `arrays` has exactly the names and shapes that `of`, the network of this name, is `expected` to have.

    Raises:
        WeightsError: code WEIGHTS-MISMATCH; names the arrays that are missing, unknown or of another shape.
    """
    missing = [name for name in expected if name not in arrays]
    unknown = [name for name in arrays if name not in expected]
    reshaped = {
        name: tuple(arrays[name].shape)
        for name, shape in expected.items()
        if name in arrays and tuple(arrays[name].shape) != shape
    }
    if not (missing or unknown or reshaped):
        return
    problems = {
        "missing": missing,
        "unknown": unknown,
        "shapes": [f"{name} is {found}, not {expected[name]}" for name, found in reshaped.items()],
    }
    text = "; ".join(f"{what}: {some(names)}" for what, names in problems.items() if names)
    hint = "Build the network that they were trained with; nothing was loaded."
    if not (missing or unknown) and (classes := _other_classes(expected, reshaped)):
        hint = f"They tell {classes} classes apart: build {of} with classes={classes}, load, then change its head."
    raise WeightsError(f"these weights are not those of {of}: {text}", code="WEIGHTS-MISMATCH", hint=hint)


def _other_classes(expected: Mapping[str, Shape], reshaped: Mapping[str, Shape]) -> int:
    """The classes of these arrays where nothing but the last layer's outputs differ from `expected`, otherwise 0."""
    last_layer = list(expected)[-1].rpartition(".")[0]
    outputs = {found[0] for found in reshaped.values() if found}
    only_outputs = all(
        name.rpartition(".")[0] == last_layer and found[1:] == expected[name][1:] for name, found in reshaped.items()
    )
    return outputs.pop() if only_outputs and len(outputs) == 1 else 0


def renamed(network: Network, state: Mapping[str, AnyArray], *, names: Mapping[str, str]) -> dict[str, AnyArray]:
    """The arrays in `state` under canonical names; `names` tells the key of each. WeightsError unless exactly these."""
    refuse_misfit({names[name]: shape for name, shape in shapes(network).items()}, state, of=network.name)
    return {name: state[names[name]] for name in shapes(network)}


def some(names: list[str], *, most: int = 6) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
