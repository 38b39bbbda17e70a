"""A network as an ordinary Gluon model (MXNet 1.9): nested `HybridSequential` whose children have the spec's names."""

# pyright: reportMissingImports=false
# MXNet has an environment of its own (scripts/mxnet-env).

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, assert_never

import mxnet as mx
import numpy.typing as npt
from mxnet import autograd, gluon
from mxnet.gluon import nn
from mxnet.gluon.contrib.nn import HybridConcurrent

from verydeep.backends import mxnet_layers as layers
from verydeep.backends import refusals
from verydeep.backends.mxnet_windows import axes_beyond
from verydeep.backends.numpy_reference import Mode
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
    Signal,
    Tanh,
    walk,
)
from verydeep.weights import fit, nested
from verydeep.weights.gluon import symbol_names

Array = npt.NDArray[Any]


def build(network: Network, arrays: Mapping[str, Array]) -> nn.HybridSequential:
    """`network` with the weights `arrays` (canonical names) on the CPU; ``model.network`` describes it.

    Images are (n, channels, height, width). As with any Gluon model, ``autograd.record()`` is its train mode, and the
    running statistics of batch norm change in the backward pass. The parameter of a layer is called after it:
    ``model.collect_params()["conv1_1_weight"]``.

    Raises:
        WeightsError: names or shapes of `arrays` are not those of the network.
        ConfigError: a layer or block has a name that Gluon needs for itself.
    """
    # Children are attributes of their block, beside `name`, `params` and all that Gluon has there.
    refusals.refuse_taken(network, taken={*dir(nn.HybridSequential()), "network"}, by="MXNet")
    signals = {step.layer.name: step.before for step in walk(network)}
    model = nn.HybridSequential(prefix="")
    for block in network.blocks:
        setattr(model, block.name, _sequence(block.layers, signals))
    model.network = network
    model.initialize(mx.init.Zero())
    set_weights(model, arrays)
    return model


def set_weights(model: nn.HybridSequential, arrays: Mapping[str, Array]) -> None:
    """Copy `arrays` into the model, all or nothing.

    Raises:
        ConfigError: the model is not what `build` gave.
        WeightsError: a name is missing or unknown, or a shape differs; the model is unchanged.
    """
    network = network_of(model)
    fit.refuse_misfit(fit.shapes(network), arrays, of=network.name)
    for name, parameter in _parameters(model).items():
        parameter.set_data(mx.nd.array(arrays[name], dtype=parameter.dtype))


def get_weights(model: nn.HybridSequential) -> dict[str, Array]:
    """Copies of all weights by canonical name, OIHW, as NumPy arrays.

    Raises:
        ConfigError: the model is not what `build` gave.
    """
    return {name: parameter.list_data()[0].asnumpy() for name, parameter in _parameters(model).items()}


def network_of(model: gluon.Block) -> Network:
    """The description of a model that `build` gave; ConfigError for any other block."""
    return refusals.description(model, getattr(model, "network", None))


def run(model: nn.HybridSequential, images: Array, *, mode: Mode, taps: Iterable[str]) -> dict[str, Array]:
    """The outputs of the layers named in `taps`, computed no further than the deepest of them, compiled as a whole.

    Args:
        model: What `build` gave, hybridized or not.
        images: (n, channels, height, width).
        mode: In "train" batch norm uses the batch and updates its statistics, and dropout drops. The gradients of the
            parameters become 0.
        taps: Names of layers, such as ("relu3_3", "fc7").

    Raises:
        ConfigError: no layer has this name, or the model is not what `build` gave.
    """
    network = network_of(model)
    places = nested.places(network)
    wanted = refusals.known(network, taps)
    if not wanted:
        return {}
    dtype, device = _numbers(model)
    graph = _graph(model, {name: places[name] for name in wanted}, dtype)
    x = mx.nd.array(images, dtype=dtype, ctx=device)
    if mode == "train":
        x.attach_grad()  # there is a backward pass even where no parameter is reached
    with autograd.record() if mode == "train" else autograd.pause():
        found = graph(x)
    outputs = [found] if len(wanted) == 1 else found
    if mode == "train":  # the running statistics of batch norm change in the backward pass
        autograd.backward(outputs, [mx.nd.zeros_like(output) for output in outputs])
    return {name: output.asnumpy() for name, output in zip(wanted, outputs, strict=True)}


def _numbers(model: nn.HybridSequential) -> tuple[Any, mx.Context]:
    """The type of the model's numbers, and where they are."""
    first = next(iter(model.collect_params().values()), None)
    return (first.dtype, first.list_ctx()[0]) if first is not None else ("float32", mx.cpu())


def _graph(model: nn.HybridSequential, places: Mapping[str, str], dtype: Any) -> gluon.SymbolBlock:
    """A block over the model's own parameters that gives the outputs of the layers at `places`."""
    kept: dict[str, Any] = {}
    handles = [
        reduce(getattr, place.split("."), model).register_forward_hook(
            lambda block, inputs, output, name=name: kept.update({name: output})
        )
        for name, place in places.items()
    ]
    images = mx.sym.var("images", dtype=dtype)
    model(images)
    for handle in handles:
        handle.detach()
    return gluon.SymbolBlock(mx.sym.Group([kept[name] for name in places]), images, params=model.collect_params())


def _parameters(model: nn.HybridSequential) -> dict[str, gluon.Parameter]:
    """The model's own parameters by canonical name."""
    found = model.collect_params()
    return {name: found[key] for name, key in symbol_names(network_of(model)).items()}


def _sequence(sequence_layers: tuple[Layer, ...], signals: Mapping[str, Signal]) -> nn.HybridSequential:
    sequence = nn.HybridSequential(prefix="")
    for layer in sequence_layers:
        setattr(sequence, layer.name, _block(layer, signals))
    return sequence


def _block(layer: Layer, signals: Mapping[str, Signal]) -> gluon.HybridBlock:
    signal, prefix = signals[layer.name], f"{layer.name}_"
    match layer:
        case Conv():
            return _conv(layer, signal.shape[0])
        case Pool():
            return _pool(layer)
        case Linear():
            return nn.Dense(layer.features, use_bias=layer.bias, in_units=signal.shape[0], prefix=prefix)
        case BatchNorm():
            # MXNet's momentum is the share of the old value.
            return layers.BatchNorm(
                momentum=1 - layer.momentum, epsilon=layer.epsilon, in_channels=signal.shape[0], prefix=prefix
            )
        case ReLU():
            return nn.Activation("relu", prefix=prefix)
        case Tanh():
            return nn.Activation("tanh", prefix=prefix)
        case Dropout():
            return nn.Dropout(layer.rate, prefix=prefix)
        case LRN():
            return layers.LocalResponseNorm(layer, prefix=prefix)
        case Flatten():
            return nn.Flatten(prefix=prefix)
        case PadChannels():
            return layers.ZeroChannels(layer.before, layer.after, prefix=prefix)
        case Parallel():
            paths = HybridConcurrent(axis=1, prefix="") if layer.join == "concat" else layers.Sum(prefix="")
            for number, path in enumerate(layer.paths, start=1):
                setattr(paths, f"path{number}", _sequence(path, signals))
            return paths
    assert_never(layer)


def _conv(layer: Conv, channels: int) -> nn.Conv2D:
    (top, bottom), (left, right) = layer.padding
    options: dict[str, Any] = {
        "strides": layer.stride,
        "dilation": layer.dilation,
        "groups": layer.groups,
        "use_bias": layer.bias,
        "in_channels": channels,
        "prefix": f"{layer.name}_",
    }
    if top == bottom and left == right:
        return nn.Conv2D(layer.channels, layer.kernel, padding=(top, left), **options)
    return layers.UnevenConv2D(layer.channels, layer.kernel, sides=layer.padding, **options)


def _pool(layer: Pool) -> gluon.HybridBlock:
    prefix = f"{layer.name}_"
    if layer.kernel is None:
        return nn.GlobalMaxPool2D(prefix=prefix) if layer.pooling == "max" else nn.GlobalAvgPool2D(prefix=prefix)
    (top, bottom), (left, right) = layer.padding
    if top != bottom or left != right or axes_beyond(layer):
        return layers.UnevenPool2D(layer, prefix=prefix)
    options: dict[str, Any] = {"padding": (top, left), "ceil_mode": layer.rounding == "ceil", "prefix": prefix}
    if layer.pooling == "max":
        return nn.MaxPool2D(layer.kernel, layer.stride, **options)
    return nn.AvgPool2D(layer.kernel, layer.stride, count_include_pad=False, **options)
