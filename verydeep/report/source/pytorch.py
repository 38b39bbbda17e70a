"""The same network as plain PyTorch source that runs without this package."""

from collections.abc import Mapping
from typing import assert_never

from verydeep.report.source.pytorch_helpers import HELPERS
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
    Shape,
    Tanh,
    walk,
)

TAKEN = ("torch", "nn", "images", "logits", "print", "tuple")  # names that the source needs for itself
EMPTY = ["stack()"]


def source(network: Network) -> str:
    """PyTorch source of the network: one function, named after it, that returns an `nn.Sequential` in train mode.

    Children have the spec's names, block, then layer (the paths of a `Parallel` are path1, path2, ...), so its
    `state_dict` fits that of the built network. Helper classes appear only where they are used.
    """
    shapes = {step.layer.name: step.before.shape for step in walk(network)}
    function = function_name(network.name, taken=(*HELPERS, *TAKEN))
    body = [f"{INDENT}return stack("]
    for block in network.blocks:
        body.extend(argument(block.name, _stack(block.layers, shapes), indent=2 * INDENT, empty=EMPTY))
    body.append(f"{INDENT})")
    helpers = "\n\n".join(used(HELPERS, "\n".join(body)))
    channels, height, width = network.input
    parts = (
        f"{docstring(network, framework='PyTorch', needs='torch')}\n\n{_imports(helpers)}\n\n\n{helpers}\n",
        f"def {function}() -> nn.Sequential:",
        f'{INDENT}"""The network with PyTorch\'s default initial weights, in train mode."""',
        *body,
        "\n",
        'if __name__ == "__main__":',
        f"{INDENT}images = torch.randn(2, {channels}, {height}, {width})",
        f"{INDENT}with torch.inference_mode():",
        f"{INDENT * 2}logits = {function}().eval()(images)",
        f"{INDENT}print(tuple(logits.shape))",
    )
    return "\n".join(parts) + "\n"


def _imports(helpers: str) -> str:
    lines = ["from collections import OrderedDict\n", "import torch"]
    if "F." in helpers:
        lines.append("import torch.nn.functional as F")
    lines.append("from torch import Tensor, nn" if "Tensor" in helpers else "from torch import nn")
    return "\n".join(lines)


def _stack(layers: tuple[Layer, ...], shapes: Mapping[str, Shape]) -> list[str]:
    if not layers:
        return EMPTY
    lines = ["stack("]
    for layer in layers:
        if isinstance(layer, LRN):
            lines.append(f"{INDENT}# PyTorch divides alpha by the size of the window, the published formula does not.")
        lines.extend(argument(layer.name, _layer(layer, shapes), indent=INDENT, empty=EMPTY))
    return [*lines, ")"]


def _layer(layer: Layer, shapes: Mapping[str, Shape]) -> list[str]:
    """The layer's constructor call, one item for each line."""
    before = shapes[layer.name]
    match layer:
        case Conv():
            return [_conv(layer, before[0])]
        case Pool():
            return [_pool(layer)]
        case Linear():
            return [call("nn.Linear", before[0], layer.features, bias=None if layer.bias else "False")]
        case BatchNorm():
            eps = None if layer.epsilon == BatchNorm("default").epsilon else repr(layer.epsilon)
            momentum = None if layer.momentum == BatchNorm("default").momentum else repr(layer.momentum)
            kind = "nn.BatchNorm2d" if len(before) == 3 else "nn.BatchNorm1d"
            return [call(kind, before[0], eps=eps, momentum=momentum)]
        case ReLU():
            return ["nn.ReLU()"]
        case Tanh():
            return ["nn.Tanh()"]
        case Dropout():
            return [call("nn.Dropout", repr(layer.rate))]
        case LRN():
            alpha = f"{layer.size} * {layer.alpha!r}"
            return [call("nn.LocalResponseNorm", layer.size, alpha=alpha, beta=repr(layer.beta), k=repr(layer.k))]
        case Flatten():
            return ["nn.Flatten()"]
        case PadChannels():
            return [call("PadChannels", before=str(layer.before), after=str(layer.after))]
        case Parallel():
            lines = ["Concat(" if layer.join == "concat" else "Add("]
            for number, path in enumerate(layer.paths, start=1):
                lines.extend(argument(f"path{number}", _stack(path, shapes), indent=INDENT, empty=EMPTY))
            return [*lines, ")"]
    assert_never(layer)


def _conv(layer: Conv, channels_in: int) -> str:
    symmetric = even(layer.padding)
    return call(
        "nn.Conv2d" if symmetric else "UnevenConv2d",
        channels_in,
        layer.channels,
        kernel_size=pair(layer.kernel),
        stride=pair(layer.stride, default=1),
        padding=pair(symmetric, default=0) if symmetric else None,
        sides=None if symmetric else _sides(layer.padding),
        dilation=pair(layer.dilation, default=1),
        groups=None if layer.groups == 1 else str(layer.groups),
        bias=None if layer.bias else "False",
    )


def _pool(layer: Pool) -> str:
    average = layer.pooling == "average"
    if layer.kernel is None:
        return "GlobalAverage()" if average else "GlobalMax()"
    kind = "AvgPool2d" if average else "MaxPool2d"
    ceil = "True" if layer.rounding == "ceil" else None
    symmetric = even(layer.padding)
    if (
        symmetric is None or 2 * symmetric[0] > layer.kernel[0] or 2 * symmetric[1] > layer.kernel[1]
    ):  # PyTorch's limit is half
        kernel, stride, sides = str(layer.kernel), str(layer.stride), _sides(layer.padding)
        return call(f"Uneven{kind}", sides=sides, kernel_size=kernel, stride=stride, ceil_mode=ceil)
    return call(
        f"nn.{kind}",
        kernel_size=pair(layer.kernel),
        stride=pair(layer.stride),
        padding=pair(symmetric, default=0),
        ceil_mode=ceil,
        count_include_pad="False" if average and symmetric != (0, 0) else None,
    )


def _sides(padding: Padding) -> str:
    (top, bottom), (left, right) = padding
    return str((left, right, top, bottom))
