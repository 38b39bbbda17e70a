"""A network as an ordinary Keras 3 model: functional, channels last, its layers named as in the spec.

Keras runs it on TensorFlow, JAX or PyTorch: the one that ``KERAS_BACKEND`` names when Keras is first imported.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import verydeep.backends.before_tensorflow  # noqa: F401 # isort: skip
import keras
import numpy as np
import numpy.typing as npt

from verydeep.backends import keras3_graph, refusals
from verydeep.backends.keras3_plain import plain
from verydeep.backends.numpy_reference import Mode
from verydeep.spec import BatchNorm, Network, walk
from verydeep.weights import fit
from verydeep.weights.layout import as_hwio, from_hwio

Array: TypeAlias = npt.NDArray[Any]

VARIABLES = {"weight": "kernel", "bias": "bias"}
NORM_VARIABLES = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def build(network: Network, arrays: Mapping[str, Array]) -> keras.Model:
    """`network` with the weights `arrays` (canonical names), not compiled; ``model.network`` describes it.

    Args:
        network: What to build. Where it has no Flatten, the model reads images of any size.
        arrays: One array for every name in ``spec.weights(network)``, as `weights.initial` gives them.

    Raises:
        WeightsError: names or shapes of `arrays` are not those of the network.
        ConfigError: a layer has a name that Keras cannot take.
    """
    model = keras3_graph.model(network)
    model.network = network
    set_weights(model, arrays)
    return model


def set_weights(model: keras.Model, arrays: Mapping[str, Array]) -> None:
    """Copy `arrays` into the model, all or nothing.

    Raises:
        ConfigError: the model is not what `build` gave.
        WeightsError: a name is missing or unknown, or a shape differs; the model is unchanged.
    """
    network = network_of(model)
    fit.refuse_misfit(fit.shapes(network), arrays, of=network.name)
    for name, variable in _variables(model, network).items():
        variable.assign(as_hwio(np.asarray(arrays[name])))


def get_weights(model: keras.Model) -> dict[str, Array]:
    """Copies of all weights by canonical name, kernels OIHW and matrices (out, in), as NumPy arrays.

    Raises:
        ConfigError: the model is not what `build` gave.
    """
    variables = _variables(model, network_of(model))
    return {name: np.array(from_hwio(_array(variable.value)), order="C") for name, variable in variables.items()}


def network_of(model: keras.Model) -> Network:
    """The description of a model that `build` gave; ConfigError for any other model."""
    return refusals.description(model, getattr(model, "network", None))


def run(model: keras.Model, images: Array, *, mode: Mode, taps: Iterable[str]) -> dict[str, Array]:
    """The outputs of the layers named in `taps`, computed no further than needed: (n, c, h, w) or (n, features).

    Args:
        model: What `build` gave.
        images: (n, channels, height, width).
        mode: In "train" batch norm uses the batch and updates its running statistics, and dropout drops.
        taps: Names of layers, such as ("relu3_3", "fc7").

    Raises:
        ConfigError: no layer has this name, or the model is not what `build` gave.
    """
    wanted = refusals.known(network_of(model), taps)
    if not wanted:
        return {}
    reader = keras.Model(model.input, {name: model.get_layer(name).output for name in wanted})
    outputs = reader(np.ascontiguousarray(images.transpose(0, 2, 3, 1)), training=mode == "train")
    found = {name: _array(outputs[name]) for name in wanted}
    return {name: array.transpose(0, 3, 1, 2) if array.ndim == 4 else array for name, array in found.items()}


def for_export(model: keras.Model) -> keras.Model:
    """A twin for inference, made of Keras's own layers, with copies of the weights: its file loads without verydeep.

    Batch norm becomes Keras's own (the same in inference), LRN and padded mean-pools small models of Keras's layers.
    Layers of this package stay only where Keras has nothing that means the same: a padded max-pool over numbers below
    0, a pool that rounds up or a padded mean-pool for images of any size, a convolution with dilation and stride. No
    network of the catalogue has these; the dense forms of NIN and GoogLeNet have.

    Raises:
        ConfigError: the model is not what `build` gave.
    """
    network = network_of(model)
    twin = keras.models.clone_model(model, clone_function=plain)
    originals = _variables(model, network)
    for name, variable in _variables(twin, network).items():
        variable.assign(originals[name])
    return twin


def _variables(model: keras.Model, network: Network) -> dict[str, keras.Variable]:
    """The model's own variables by canonical name."""
    found: dict[str, keras.Variable] = {}
    for step in walk(network):
        names = NORM_VARIABLES if isinstance(step.layer, BatchNorm) else VARIABLES
        for weight in step.layer.weights(step.before):
            found[f"{step.layer.name}.{weight.name}"] = getattr(model.get_layer(step.layer.name), names[weight.name])
    return found


def _array(value: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(value))
