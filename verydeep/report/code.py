"""The same network as plain PyTorch source that runs without this package."""

import keyword
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import assert_never

from verydeep.report.code_helpers import HELPERS
from verydeep.report.grid import one_line
from verydeep.report.table import summary
from verydeep.report.words import length, sizes
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
    Pair,
    Parallel,
    Pool,
    ReLU,
    Shape,
    Tanh,
    walk,
)

LINE_LENGTH = 100  # of wrapped text
INDENT = "    "
EMPTY = ["stack()"]


def code(network: Network) -> str:
    """PyTorch source of the network: one function, named after it, that returns an `nn.Sequential` in train mode.

    Children have the spec's names, block, then layer (the paths of a `Parallel` are path1, path2, ...), so its
    `state_dict` fits that of the built network. Helper classes appear only where they are used.
    """
    shapes = {step.layer.name: step.before.shape for step in walk(network)}
    function = _function_name(network.name)
    body = [f"{INDENT}return stack("]
    for block in network.blocks:
        body.extend(_argument(block.name, _stack(block.layers, shapes), indent=2 * INDENT))
    body.append(f"{INDENT})")
    helpers = "\n\n".join(_helpers("\n".join(body)))
    channels, height, width = network.input
    parts = (
        f'"""{_docstring(network)}"""\n\n{_imports(helpers)}\n\n\n{helpers}\n',
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


def _docstring(network: Network) -> str:
    totals = summary(network)
    sentences = (
        f"{network.name} in PyTorch, written by verydeep; it needs nothing but torch.",
        *([f"Source: {network.source}."] if network.source else []),
        f"Input: images of {sizes(network.input)}. Output: {sizes(network.output.shape)}, no softmax. "
        f"{totals.params:,} parameters, {totals.macs:,} MACs for one image.",
        *network.notes,
    )
    quoted = (one_line(sentence).replace("\\", "\\\\").replace('"', '\\"') for sentence in sentences)
    return (
        "\n\n".join(
            textwrap.fill(sentence, LINE_LENGTH, break_on_hyphens=False, break_long_words=False) for sentence in quoted
        )
        + "\n"
    )


def _function_name(name: str) -> str:
    plain = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_").lower() or "network"
    if plain[0].isdigit():
        return f"network_{plain}"
    taken = (
        keyword.iskeyword(plain) or plain in HELPERS or plain in ("torch", "nn", "images", "logits", "print", "tuple")
    )
    return f"{plain}_" if taken else plain


def _imports(helpers: str) -> str:
    lines = ["from collections import OrderedDict\n", "import torch"]
    if "F." in helpers:
        lines.append("import torch.nn.functional as F")
    lines.append("from torch import Tensor, nn" if "Tensor" in helpers else "from torch import nn")
    return "\n".join(lines)


def _helpers(body: str) -> Iterator[str]:
    """The helpers that the network needs, in the order of `HELPERS`."""
    used = {name for name in HELPERS if f"{name}(" in body}
    if any("begin_inside(" in HELPERS[name] for name in used):
        used.add("begin_inside")
    yield from (text.strip("\n") + "\n" for name, text in HELPERS.items() if name in used)


def _stack(layers: tuple[Layer, ...], shapes: Mapping[str, Shape]) -> list[str]:
    if not layers:
        return EMPTY
    lines = ["stack("]
    for layer in layers:
        if isinstance(layer, LRN):
            lines.append(f"{INDENT}# PyTorch divides alpha by the size of the window, the published formula does not.")
        lines.extend(_argument(layer.name, _layer(layer, shapes), indent=INDENT))
    return [*lines, ")"]


def _argument(name: str, lines: list[str], *, indent: str) -> list[str]:
    """An expression as the keyword argument `name`, which may be a word that Python reserves."""
    plain = name.isascii() and not keyword.iskeyword(name)
    before, after = (f"{name}=", ",") if plain else (f"**{{{name!r}: ", "},")
    first, *rest = lines
    written = [before + first, *rest]
    written[-1] += after
    if lines == EMPTY:
        written[-1] += "  # the identity"
    return [indent + line for line in written]


def _layer(layer: Layer, shapes: Mapping[str, Shape]) -> list[str]:
    """The layer's constructor call, one item for each line."""
    before = shapes[layer.name]
    match layer:
        case Conv():
            return [_conv(layer, before[0])]
        case Pool():
            return [_pool(layer)]
        case Linear():
            return [_call("nn.Linear", before[0], layer.features, bias=None if layer.bias else "False")]
        case BatchNorm():
            eps = None if layer.epsilon == BatchNorm("default").epsilon else repr(layer.epsilon)
            momentum = None if layer.momentum == BatchNorm("default").momentum else repr(layer.momentum)
            kind = "nn.BatchNorm2d" if len(before) == 3 else "nn.BatchNorm1d"
            return [_call(kind, before[0], eps=eps, momentum=momentum)]
        case ReLU():
            return ["nn.ReLU()"]
        case Tanh():
            return ["nn.Tanh()"]
        case Dropout():
            return [_call("nn.Dropout", repr(layer.rate))]
        case LRN():
            alpha = f"{layer.size} * {layer.alpha!r}"
            return [_call("nn.LocalResponseNorm", layer.size, alpha=alpha, beta=repr(layer.beta), k=repr(layer.k))]
        case Flatten():
            return ["nn.Flatten()"]
        case PadChannels():
            return [_call("PadChannels", before=str(layer.before), after=str(layer.after))]
        case Parallel():
            lines = ["Concat(" if layer.join == "concat" else "Add("]
            for number, path in enumerate(layer.paths, start=1):
                lines.extend(_argument(f"path{number}", _stack(path, shapes), indent=INDENT))
            return [*lines, ")"]
    assert_never(layer)


def _conv(layer: Conv, channels_in: int) -> str:
    even = _even(layer.padding)
    return _call(
        "nn.Conv2d" if even else "UnevenConv2d",
        channels_in,
        layer.channels,
        kernel_size=_pair(layer.kernel),
        stride=_pair(layer.stride, default=1),
        padding=_pair(even, default=0) if even else None,
        sides=None if even else _sides(layer.padding),
        dilation=_pair(layer.dilation, default=1),
        groups=None if layer.groups == 1 else str(layer.groups),
        bias=None if layer.bias else "False",
    )


def _pool(layer: Pool) -> str:
    average = layer.pooling == "average"
    if layer.kernel is None:
        return "GlobalAverage()" if average else "GlobalMax()"
    kind = "AvgPool2d" if average else "MaxPool2d"
    ceil = "True" if layer.rounding == "ceil" else None
    even = _even(layer.padding)
    if even is None or 2 * even[0] > layer.kernel[0] or 2 * even[1] > layer.kernel[1]:  # PyTorch's limit is half
        kernel, stride, sides = str(layer.kernel), str(layer.stride), _sides(layer.padding)
        return _call(f"Uneven{kind}", sides=sides, kernel_size=kernel, stride=stride, ceil_mode=ceil)
    return _call(
        f"nn.{kind}",
        kernel_size=_pair(layer.kernel),
        stride=_pair(layer.stride),
        padding=_pair(even, default=0),
        ceil_mode=ceil,
        count_include_pad="False" if average and even != (0, 0) else None,
    )


def _call(function: str, *positional: int | str, **named: str | None) -> str:
    """A call in which an argument of None is left out: PyTorch's default is meant."""
    arguments = [*map(str, positional), *(f"{name}={value}" for name, value in named.items() if value is not None)]
    return f"{function}({', '.join(arguments)})"


def _even(padding: Padding) -> Pair | None:
    (top, bottom), (left, right) = padding
    return (top, left) if top == bottom and left == right else None


def _sides(padding: Padding) -> str:
    (top, bottom), (left, right) = padding
    return str((left, right, top, bottom))


def _pair(value: Pair, *, default: int | None = None) -> str | None:
    return None if value == (default, default) else str(length(value))
