"""A network as an ordinary Flax NNX module: nested modules whose names are the spec's, maps with channels last."""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, assert_never

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from flax import nnx
from flax.typing import PrecisionLike

from verydeep import spec
from verydeep.backends import flax_nnx_layers as layers
from verydeep.backends import refusals
from verydeep.backends.numpy_reference import Mode
from verydeep.spec import Layer, Network, Signal, walk
from verydeep.weights import fit, nested
from verydeep.weights.layout import as_hwio, from_hwio

Array = npt.NDArray[Any]

NAMES = {"weight": "kernel", "bias": "bias"}  # Flax's for the spec's
NORM_NAMES = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}


def build(
    network: Network, arrays: Mapping[str, Array], *, seed: int = 0, precision: PrecisionLike = "highest"
) -> "Model":
    """`network` with the weights `arrays` (canonical names), in train mode; ``model.network`` describes it.

    Images are (n, height, width, channels). Parameters are `nnx.Param`, running statistics `nnx.BatchStat`.

    Args:
        network: What to build.
        arrays: One array for every name in ``spec.weights(network)``, as `weights.initial` gives them.
        seed: Of the random numbers that dropout draws.
        precision: Of products. "default" is quicker on a GPU or TPU, which then rounds to TF32 or bfloat16.

    Raises:
        WeightsError: names or shapes of `arrays` are not those of the network.
        ConfigError: a layer or block has a name that Flax needs for itself.
    """
    # Children are attributes of their module, beside `train`, `eval` and all that Flax has there.
    refusals.refuse_taken(network, taken={*dir(layers.Sequential({})), "network"}, by="Flax")
    signals = {step.layer.name: step.before for step in walk(network)}
    maker = _Maker(signals, nnx.Rngs(seed), precision)
    model = Model({block.name: maker.sequence(block.layers) for block in network.blocks}, network)
    set_weights(model, arrays)
    return model


def set_weights(model: nnx.Module, arrays: Mapping[str, Array]) -> None:
    """Copy `arrays` into the model, all or nothing.

    Raises:
        ConfigError: the model is not what `build` gave.
        WeightsError: a name is missing or unknown, or a shape differs; the model is unchanged.
    """
    network = network_of(model)
    fit.refuse_misfit(fit.shapes(network), arrays, of=network.name)
    for name, variable in _variables(model).items():
        variable.set_value(jnp.array(as_hwio(np.asarray(arrays[name])), jnp.float32))


def get_weights(model: nnx.Module) -> dict[str, Array]:
    """Copies of all weights by canonical name, OIHW, as NumPy arrays.

    Raises:
        ConfigError: the model is not what `build` gave.
    """
    found = {name: np.asarray(variable.get_value()) for name, variable in _variables(model).items()}
    return {name: np.array(from_hwio(array), order="C") for name, array in found.items()}


def network_of(model: nnx.Module) -> Network:
    """The description of a model that `build` gave; ConfigError for any other module."""
    return refusals.description(model, getattr(model, "network", None))


def run(model: nnx.Module, images: Array, *, mode: Mode, taps: Iterable[str]) -> dict[str, Array]:
    """The outputs of the layers named in `taps`, computed no further than the deepest of them, operation by operation.

    Args:
        model: What `build` gave; its own mode is neither read nor changed.
        images: (n, channels, height, width).
        mode: In "train" batch norm uses the batch and updates its statistics, and dropout drops.
        taps: Names of layers, such as ("relu3_3", "fc7").

    Raises:
        ConfigError: no layer has this name, or the model is not what `build` gave.
    """
    network_of(model)
    evaluating = mode == "eval"
    twin = nnx.with_attributes(  # another module over the same variables
        model, deterministic=evaluating, use_running_average=evaluating, raise_if_not_found=False
    )
    found = features(twin, jnp.asarray(images.transpose(0, 2, 3, 1)), taps=taps)
    return {name: _channels_first(np.asarray(output)) for name, output in found.items()}


def features(model: nnx.Module, images: jax.Array, *, taps: Iterable[str]) -> dict[str, jax.Array]:
    """The outputs of the layers named in `taps`, as the model has them: channels last, in its mode.

    It is differentiable and works under `nnx.jit`, which makes it quicker where it is called often.

    Args:
        model: What `build` gave.
        images: (n, height, width, channels).
        taps: Names of layers.

    Raises:
        ConfigError: no layer has this name, or the model is not what `build` gave.
    """
    wanted = refusals.known(network_of(model), taps)
    kept: dict[str, jax.Array] = {}
    outputs = _outputs(model, images)
    while len(kept) < len(wanted):
        name, output = next(outputs)
        if name in wanted:
            kept[name] = output
    return {name: kept[name] for name in wanted}


class Model(layers.Sequential):
    """The blocks of a network, and its description."""

    def __init__(self, blocks: Mapping[str, nnx.Module], network: Network) -> None:
        super().__init__(blocks)
        self.network = network


def _outputs(model: Any, x: jax.Array) -> Generator[tuple[str, jax.Array], None, None]:
    """Every layer's name and output in the order of computation."""
    for block in model.order:
        x = yield from _outputs_of_sequence(getattr(model, block), x)


def _outputs_of_sequence(
    sequence: layers.Sequential, x: jax.Array
) -> Generator[tuple[str, jax.Array], None, jax.Array]:
    for name in sequence.order:
        layer = getattr(sequence, name)
        if isinstance(layer, layers.Paths):
            ends: list[jax.Array] = []
            for path in layer.order:
                ends.append((yield from _outputs_of_sequence(getattr(layer, path), x)))
            x = layer.joined(ends)
        else:
            x = layer(x)
        yield name, x
    return x


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the module of a layer; it holds no weights yet."""

    signals: Mapping[str, Signal]  # what enters each layer
    rngs: nnx.Rngs
    precision: PrecisionLike

    def sequence(self, children: tuple[Layer, ...]) -> layers.Sequential:
        return layers.Sequential({layer.name: self.module(layer) for layer in children})

    def module(self, layer: Layer) -> nnx.Module:
        channels = self.signals[layer.name].shape[0]
        match layer:
            case spec.Conv():
                return nnx.Conv(
                    channels,
                    layer.channels,
                    layer.kernel,
                    strides=layer.stride,
                    padding=layer.padding,
                    kernel_dilation=layer.dilation,
                    feature_group_count=layer.groups,
                    use_bias=layer.bias,
                    kernel_init=_no_numbers,
                    precision=self.precision,
                    rngs=self.rngs,
                )
            case spec.Linear():
                return nnx.Linear(
                    channels,
                    layer.features,
                    use_bias=layer.bias,
                    kernel_init=_no_numbers,
                    precision=self.precision,
                    rngs=self.rngs,
                )
            case spec.BatchNorm():
                return layers.BatchNorm(
                    channels,
                    momentum=1 - layer.momentum,  # Flax means the share of the old value
                    epsilon=layer.epsilon,
                    use_fast_variance=False,  # E[x^2] - E[x]^2 cancels where the mean is large
                    rngs=self.rngs,
                )
            case spec.Dropout():
                return nnx.Dropout(layer.rate, rngs=self.rngs)
            case spec.Pool():
                return layers.Pool(layer)
            case spec.LRN():
                return layers.LRN(layer)
            case spec.ReLU():
                return layers.ReLU()
            case spec.Tanh():
                return layers.Tanh()
            case spec.Flatten():
                return layers.Flatten()
            case spec.PadChannels():
                return layers.PadChannels(layer.before, layer.after)
            case spec.Parallel():
                return layers.Paths([self.sequence(path) for path in layer.paths], layer.join)
        assert_never(layer)


def _no_numbers(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    """The shape alone: the arrays given to `build` are the first numbers that the model ever holds."""
    del key
    return jax.ShapeDtypeStruct(shape, dtype)


def _variables(model: nnx.Module) -> dict[str, nnx.Variable[Any]]:
    """The model's own variables by canonical name."""
    network = network_of(model)
    places = nested.places(network)
    found: dict[str, nnx.Variable[Any]] = {}
    for name in fit.shapes(network):
        layer, _, array = name.partition(".")
        module = reduce(getattr, places[layer].split("."), model)
        found[name] = getattr(module, (NORM_NAMES if isinstance(module, nnx.BatchNorm) else NAMES)[array])
    return found


def _channels_first(x: Array) -> Array:
    return x.transpose(0, 3, 1, 2) if x.ndim == 4 else x
