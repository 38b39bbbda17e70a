"""Reading a MATLAB file with a MatConvNet network (vlfeat.org/matconvnet): its filters, biases, mean image and classes.

Both of its forms: SimpleNN, a list of layers that hold their weights, and DagNN, a list of layers beside a list of
parameters. SciPy reads the file; only numbers, texts, structs and cells in it are looked at.
"""

from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from scipy import io  # type: ignore[import-untyped]

from verydeep.weights import refusals

Array = npt.NDArray[Any]

matlab: Any = io  # without types

WANTED = ("net", "layers", "params", "meta", "classes", "normalization")
MOST_MEAN = 3 * 512 * 512  # numbers of a mean image
MOST_TEXT = 500  # letters of a name
WINDOW = {"conv": {"pad": 4, "stride": 2, "dilate": 2}, "pool": {"pad": 4, "stride": 2, "pool": 2}}  # numbers of each
DEFAULTS = {"pad": 0, "stride": 1, "dilate": 1, "pool": 1}  # vl_simplenn_tidy
HINT = "Save the network in MATLAB with save(file, '-struct', 'net', '-v7')."


def parse(file: BinaryIO) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays as ``<layer>/<number>`` (DagNN: under the parameter's name) in MATLAB's axes, and what the network says.

    ``about["layers"]`` has name, type and options of each: of a convolution or pool of SimpleNN the `pad` (top, bottom,
    left, right), `stride`, `dilate` and `pool` in height and width, and `method`; none where it has no such field.

    Raises:
        WeightsError: the file holds no network of MatConvNet, or one whose weights are no numbers.
    """
    variables: dict[str, Any] = matlab.loadmat(file, variable_names=WANTED)
    if "net" in variables:
        variables = _struct(variables["net"])
    if "layers" not in variables:
        raise refusals.foreign("it holds no variable 'layers': it is no network of MatConvNet", hint=HINT)
    layers = [_struct(layer) for layer in _elements(variables["layers"])]
    arrays: dict[str, Array] = {}
    if "params" in variables:
        for entry in _elements(variables["params"]):
            parameter = _struct(entry)
            _put(arrays, _text(parameter.get("name")), parameter.get("value"))
    for layer in layers:
        for number, value in enumerate(_weights(layer)):
            _put(arrays, f"{_text(layer.get('name'))}/{number}", value)
    named = [[_text(layer.get("name")), _text(layer.get("type")), _options(layer)] for layer in layers]
    return arrays, {"layers": named, **_about(variables)}


def _options(layer: dict[str, Any]) -> dict[str, Any]:
    """How a convolution or pool slides, with MatConvNet's defaults; empty where nothing is said."""
    counts = WINDOW.get(_text(layer.get("type")), {})
    if not counts.keys() & layer.keys() and "method" not in layer:
        return {}
    options: dict[str, Any] = {}
    for key, count in counts.items():
        numbers = _numbers(layer[key]) if key in layer else np.array(DEFAULTS[key])
        if numbers is None or numbers.size not in (1, count):
            raise refusals.damaged(f"{key} of {_text(layer.get('name'))} is not {count} numbers")
        options[key] = np.broadcast_to(numbers.ravel(), count).tolist()
    return options | ({"method": _text(layer["method"])} if "method" in layer else {})


def _weights(layer: dict[str, Any]) -> list[Any]:
    """Filters and biases of a SimpleNN layer: a cell of 2014, or two fields before."""
    if "weights" in layer:
        return _elements(layer["weights"])
    return [layer[key] for key in ("filters", "biases") if key in layer]


def _put(arrays: dict[str, Array], name: str, value: Any) -> None:
    array = _numbers(value)
    if array is None:
        raise refusals.damaged(f"{name} is no array of numbers")
    if name in arrays:
        raise refusals.damaged(f"two arrays are called {name}")
    arrays[name] = array


def _about(variables: dict[str, Any]) -> dict[str, Any]:
    """Mean image and class names, from where either generation of MatConvNet keeps them."""
    meta = _struct(variables.get("meta"))
    normalization = _struct(meta.get("normalization", variables.get("normalization")))
    classes = _struct(meta.get("classes", variables.get("classes")))
    about: dict[str, Any] = {}
    mean = _numbers(normalization.get("averageImage"))
    if mean is not None and 0 < mean.size <= MOST_MEAN:
        about["averageImage"] = mean.tolist()
    if "description" in classes:
        about["classes"] = [_text(element) for element in _elements(classes["description"])]
    return about


def _numbers(value: Any) -> Array | None:
    """An array of numbers; None where it is anything else."""
    array = _array(value)
    return array if array is not None and array.dtype.kind in "fiu" else None


def _array(value: Any) -> Array | None:
    return cast("Array", value) if isinstance(value, np.ndarray) else None


def _struct(value: Any) -> dict[str, Any]:
    """The fields of a struct, taken out of the 1 x 1 arrays in which SciPy wraps it; empty where it is none."""
    array = _array(value)
    while array is not None and array.dtype == object and array.size == 1:  # a cell around it
        array = _array(array.item())
    if array is None or array.dtype.names is None or array.size != 1:
        return {}
    record: Any = array.ravel()[0]
    return {name: record[name] for name in array.dtype.names}


def _elements(value: Any) -> list[Any]:
    """The elements of a cell, or of an array of structs, each as an array of its own."""
    array = _array(value)
    if array is None or not (array.dtype == object or array.dtype.names is not None):
        return []
    flat = array.ravel(order="F")
    return [flat[index] if array.dtype == object else flat[index : index + 1] for index in range(array.size)]


def _text(value: Any) -> str:
    """A text; WeightsError where it is none."""
    array = _array(value)
    while array is not None and array.size == 1:
        value = array.item()
        array = _array(value)
    if not isinstance(value, str) or len(value) > MOST_TEXT or not value.isprintable():
        raise refusals.damaged("a layer, type or class has a name that is no text")
    return value
