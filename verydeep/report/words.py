"""How layers, sizes and amounts are written in tables and drawings."""

from typing import assert_never

from verydeep.spec import (
    LRN,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    PadChannels,
    Padding,
    Pair,
    Parallel,
    Pool,
    ReLU,
    Shape,
    Tanh,
)

TIMES = "\N{MULTIPLICATION SIGN}"  # in pictures and Markdown; plain text has a letter x
SPACED = f" {TIMES} "


def sizes(shape: Shape, times: str = "x") -> str:
    """A shape as ``64x224x224``."""
    return times.join(map(str, shape))


def length(pair: Pair) -> int | Pair:
    """One number where both directions are alike, else (vertical, horizontal)."""
    return pair[0] if pair[0] == pair[1] else pair


def length_text(value: int | Pair) -> str:
    """A length as ``212``, or ``212x108`` where the directions differ."""
    return str(value) if isinstance(value, int) else sizes(value)


def bytes_text(count: int) -> str:
    """Bytes as ``25.7 MB`` (a million bytes), ``37.6 kB`` below one of them, ``1.2 GB`` from a thousand on."""
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def plural(count: int, noun: str) -> str:
    """A number and its noun: ``1 class``, ``1,000 classes``."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def layer_text(layer: Layer) -> str:
    """A layer in a few words: ``Conv 3x3, 64, pad 1``."""
    match layer:
        case Conv():
            groups = [f"groups {layer.groups}"] if layer.groups > 1 else []
            dilation = [f"dilation {length_text(length(layer.dilation))}"] if layer.dilation != (1, 1) else []
            parts = [f"Conv {sizes(layer.kernel)}", str(layer.channels), *_moves(layer), *dilation, *groups]
            return ", ".join(parts)
        case Pool():
            window = sizes(layer.kernel) if layer.kernel else "of the whole map"
            rounding = ["rounded up"] if layer.rounding == "ceil" else []
            return ", ".join([f"{_pooling(layer)} {window}", *_moves(layer), *rounding])
        case Linear():
            return f"Linear {layer.features}"
        case Dropout():
            return f"Dropout {layer.rate:g}"
        case LRN():
            return f"LRN over {layer.size}"
        case PadChannels():
            return f"Zeros, {layer.before} before and {layer.after} after"
        case Parallel():
            identity = ", one is the identity" if () in layer.paths else ""
            return f"{layer.join.capitalize()} of {len(layer.paths)} paths{identity}"
        case BatchNorm() | ReLU() | Tanh() | Flatten():
            return type(layer).__name__
        case _:
            assert_never(layer)


def _pooling(layer: Pool) -> str:
    return "Max-pool" if layer.pooling == "max" else "Average-pool"


def _moves(layer: Conv | Pool) -> list[str]:
    """Stride and padding, where they are not 1 and 0."""
    parts: list[str] = []
    if layer.stride != (1, 1):
        parts.append(f"stride {length_text(length(layer.stride))}")
    if layer.padding != ((0, 0), (0, 0)):
        parts.append(f"pad {_padding(layer.padding)}")
    return parts


def _padding(padding: Padding) -> str:
    (top, bottom), (left, right) = padding
    if top == bottom and left == right:
        return length_text(length((top, left)))
    return f"{top}+{bottom} by {left}+{right}"
