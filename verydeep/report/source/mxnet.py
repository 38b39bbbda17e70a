"""The same network as plain Gluon source (MXNet 1.9) that runs without this package."""

from typing import assert_never

from verydeep.backends.mxnet_windows import axes_beyond
from verydeep.report.source.mxnet_helpers import HELPERS
from verydeep.report.source.written import INDENT, argument, call, docstring, even, function_name, pair, used
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
    Padding,
    Parallel,
    Pool,
    ReLU,
    Tanh,
    walk,
)

TAKEN = ("mx", "nn", "HybridConcurrent", "net", "images", "print")  # names that the source needs for itself
EMPTY = ["stack()"]
BIASED = "# Gluon's running variances follow the variance of each batch divided by n, verydeep's that divided by n - 1."


def source(network: Network) -> str:
    """Gluon source of the network: one function, named after it, that returns an initialised `HybridSequential`.

    Children have the spec's names, block, then layer (the paths of a `Parallel` are path1, path2, ...), so its
    `load_parameters` takes what the built network's `save_parameters` wrote. Helpers appear only where they are used.
    """
    function = function_name(network.name, taken=(*HELPERS, *TAKEN))
    body = [f"{INDENT}net = stack("]
    for block in network.blocks:
        body.extend(argument(block.name, _stack(block.layers), indent=2 * INDENT, empty=EMPTY))
    body.append(f"{INDENT})")
    if any(isinstance(step.layer, BatchNorm) for step in walk(network)):
        body.insert(0, f"{INDENT}{BIASED}")
    helpers = "\n\n".join(used(HELPERS, "\n".join(body)))
    channels, height, width = network.input
    parts = (
        f"{docstring(network, framework='MXNet (Gluon)', needs='mxnet')}\n\n{_imports(helpers)}\n\n\n{helpers}\n",
        f"def {function}():",
        f'{INDENT}"""The network with MXNet\'s default initial weights."""',
        *body,
        f"{INDENT}net.initialize()",
        f"{INDENT}return net",
        "\n",
        'if __name__ == "__main__":',
        f"{INDENT}images = mx.nd.random.normal(shape=(2, {channels}, {height}, {width}))",
        f"{INDENT}print({function}()(images).shape)",
    )
    return "\n".join(parts) + "\n"


def _imports(helpers: str) -> str:
    lines = ["import mxnet as mx", "from mxnet.gluon import nn"]
    if "HybridConcurrent" in helpers:
        lines.append("from mxnet.gluon.contrib.nn import HybridConcurrent")
    return "\n".join(lines)


def _stack(layers: tuple[Layer, ...]) -> list[str]:
    if not layers:
        return EMPTY
    lines = ["stack("]
    for layer in layers:
        lines.extend(argument(layer.name, _layer(layer), indent=INDENT, empty=EMPTY))
    return [*lines, ")"]


def _layer(layer: Layer) -> list[str]:
    """The layer's constructor call, one item for each line; Gluon infers the channels that enter."""
    match layer:
        case Conv():
            return [_conv(layer)]
        case Pool():
            return [_pool(layer)]
        case Linear():
            return [call("nn.Dense", layer.features, use_bias=None if layer.bias else "False")]
        case BatchNorm():
            default = BatchNorm("default")  # whose numbers are Gluon's
            epsilon = None if layer.epsilon == default.epsilon else repr(layer.epsilon)
            momentum = None if layer.momentum == default.momentum else repr(1 - layer.momentum)
            return [call("nn.BatchNorm", epsilon=epsilon, momentum=momentum)]
        case ReLU():
            return ['nn.Activation("relu")']
        case Tanh():
            return ['nn.Activation("tanh")']
        case Dropout():
            return [call("nn.Dropout", repr(layer.rate))]
        case LRN():
            return [call("LRN", str(layer.size), alpha=repr(layer.alpha), beta=repr(layer.beta), k=repr(layer.k))]
        case Flatten():
            return ["nn.Flatten()"]
        case PadChannels():
            return [call("PadChannels", before=str(layer.before), after=str(layer.after))]
        case Parallel():
            lines = [f"{layer.join}_paths("]
            for number, path in enumerate(layer.paths, start=1):
                lines.extend(argument(f"path{number}", _stack(path), indent=INDENT, empty=EMPTY))
            return [*lines, ")"]
    assert_never(layer)


def _conv(layer: Conv) -> str:
    symmetric = even(layer.padding)
    return call(
        "nn.Conv2D" if symmetric else "UnevenConv2D",
        layer.channels,
        kernel_size=pair(layer.kernel),
        strides=pair(layer.stride, default=1),
        padding=pair(symmetric, default=0) if symmetric else None,
        sides=None if symmetric else _sides(layer.padding),
        dilation=pair(layer.dilation, default=1),
        groups=None if layer.groups == 1 else str(layer.groups),
        use_bias=None if layer.bias else "False",
    )


def _pool(layer: Pool) -> str:
    average = layer.pooling == "average"
    if layer.kernel is None:
        return "nn.GlobalAvgPool2D()" if average else "nn.GlobalMaxPool2D()"
    kind = "AvgPool2D" if average else "MaxPool2D"
    rounded_up = layer.rounding == "ceil"
    ceil = "True" if rounded_up else None
    symmetric = even(layer.padding)
    if symmetric is None or axes_beyond(layer):
        kernel, strides, sides = str(layer.kernel), str(layer.stride), _sides(layer.padding)
        return call(f"Uneven{kind}", sides=sides, pool_size=kernel, strides=strides, ceil_mode=ceil)
    return call(
        f"nn.{kind}",
        pool_size=pair(layer.kernel),
        strides=pair(layer.stride),
        padding=pair(symmetric, default=0),
        ceil_mode=ceil,
        count_include_pad="False" if average and (rounded_up or symmetric != (0, 0)) else None,
    )


def _sides(padding: Padding) -> str:
    (top, bottom), (left, right) = padding
    return str((top, bottom, left, right))
