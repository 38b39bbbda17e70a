"""The same network as plain Flax NNX source that runs without this package."""

import builtins
import re
from collections.abc import Mapping
from typing import assert_never

from verydeep.report.source.flax_helpers import HELPERS
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
    Parallel,
    Pool,
    ReLU,
    Shape,
    Tanh,
    walk,
)

TAKEN = (*dir(builtins), "Callable", "Pair", "Sides", "NONE", "jax", "jnp", "nnx", "partial", "rngs", "images", "model")
EMPTY = ["Stack()"]


def source(network: Network) -> str:
    """Flax NNX source of the network: one function, named after it, that returns an `nnx.Module` in train mode.

    Modules have the spec's names, block, then layer (the paths of a `Parallel` are path1, path2, ...), so its
    `nnx.state` fits that of the built network. Helpers appear only where they are used.
    """
    shapes = {step.layer.name: step.before.shape for step in walk(network)}
    function = function_name(network.name, taken=(*HELPERS, *TAKEN))
    body = [f"{INDENT}return Stack("]
    for block in network.blocks:
        body.extend(argument(block.name, _stack(block.layers, shapes), indent=2 * INDENT, empty=EMPTY))
    body.append(f"{INDENT})")
    # A function that is handed to Apply is called there.
    helpers = "\n\n".join(used(HELPERS, re.sub(r"Apply\((\w+)", r"Apply(\1(", "\n".join(body))))
    channels, height, width = network.input
    parts = (
        f"{docstring(network, framework='Flax NNX', needs='jax and flax')}\n\n{_head(helpers, body)}\n\n\n{helpers}\n",
        f"def {function}(rngs: nnx.Rngs) -> nnx.Module:",
        f'{INDENT}"""The network with Flax\'s default initial weights, in train mode; images are (n, h, w, c)."""',
        *body,
        "\n",
        'if __name__ == "__main__":',
        f"{INDENT}model = {function}(nnx.Rngs(0))",
        f"{INDENT}model.eval()",
        f"{INDENT}images = jax.random.normal(jax.random.key(0), (2, {height}, {width}, {channels}))",
        f"{INDENT}print(model(images).shape)",
    )
    return "\n".join(parts) + "\n"


def _head(helpers: str, body: list[str]) -> str:
    """The imports and constants that the rest needs."""
    applies, pads = "partial(" in helpers, "Sides" in helpers
    lines = ["from collections.abc import Callable", "from functools import partial", ""] if applies else []
    lines.append("import jax")
    if any("jnp." in line for line in (helpers, *body)):
        lines.append("import jax.numpy as jnp")
    lines.append("from flax import nnx")
    if pads:
        lines.extend(("", "Pair = tuple[int, int]", "Sides = tuple[Pair, Pair]", "NONE = ((0, 0), (0, 0))"))
    return "\n".join(lines)


def _stack(layers: tuple[Layer, ...], shapes: Mapping[str, Shape]) -> list[str]:
    if not layers:
        return EMPTY
    lines = ["Stack("]
    for layer in layers:
        lines.extend(argument(layer.name, _layer(layer, shapes), indent=INDENT, empty=EMPTY))
    return [*lines, ")"]


def _layer(layer: Layer, shapes: Mapping[str, Shape]) -> list[str]:
    """The layer's constructor call, one item for each line."""
    channels = shapes[layer.name][0]
    match layer:
        case Conv():
            return [_conv(layer, channels)]
        case Pool():
            return [_pool(layer)]
        case Linear():
            bias = None if layer.bias else "False"
            return [call("nnx.Linear", channels, layer.features, use_bias=bias, rngs="rngs")]
        case BatchNorm():
            epsilon = None if layer.epsilon == BatchNorm("default").epsilon else repr(layer.epsilon)
            momentum = None if layer.momentum == BatchNorm("default").momentum else repr(layer.momentum)
            return [call("BatchNorm", channels, epsilon=epsilon, momentum=momentum, rngs="rngs")]
        case ReLU():
            return ["Apply(nnx.relu)"]
        case Tanh():
            return ["Apply(nnx.tanh)"]
        case Dropout():
            return [call("nnx.Dropout", repr(layer.rate), rngs="rngs")]
        case LRN():
            numbers = {name: repr(getattr(layer, name)) for name in ("size", "alpha", "beta", "k")}
            return [call("Apply", "local_response_norm", **numbers)]
        case Flatten():
            return ["Apply(flatten)"]
        case PadChannels():
            sides = f"((0, 0), (0, 0), (0, 0), ({layer.before}, {layer.after}))"
            return [call("Apply", "jnp.pad", pad_width=sides)]
        case Parallel():
            lines = ["Concat(" if layer.join == "concat" else "Add("]
            for number, path in enumerate(layer.paths, start=1):
                lines.extend(argument(f"path{number}", _stack(path, shapes), indent=INDENT, empty=EMPTY))
            return [*lines, ")"]
    assert_never(layer)


def _conv(layer: Conv, channels_in: int) -> str:
    symmetric = even(layer.padding)
    return call(
        "nnx.Conv",
        channels_in,
        layer.channels,
        str(layer.kernel),
        strides=pair(layer.stride, default=1),
        padding=pair(symmetric) if symmetric else str(layer.padding),  # always: Flax's default is "SAME"
        kernel_dilation=pair(layer.dilation, default=1),
        feature_group_count=None if layer.groups == 1 else str(layer.groups),
        use_bias=None if layer.bias else "False",
        rngs="rngs",
    )


def _pool(layer: Pool) -> str:
    average = layer.pooling == "average"
    if layer.kernel is None:
        return call("Apply", "jnp.mean" if average else "jnp.max", axis="(1, 2)", keepdims="True")
    kind, ceil = "avg_pool" if average else "max_pool", layer.rounding == "ceil"
    padded = layer.padding != ((0, 0), (0, 0))
    return call(
        "Apply",
        f"{kind}_ceil" if ceil else f"nnx.{kind}",
        window_shape=str(layer.kernel),
        strides=None if layer.stride == (1, 1) else str(layer.stride),
        padding=str(layer.padding) if padded else None,
        count_include_pad="False" if average and padded and not ceil else None,
    )
