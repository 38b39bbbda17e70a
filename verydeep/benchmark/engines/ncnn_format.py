"""A network in ncnn's own format: layers as lines of text, and their weights as one file of numbers.

Source: github.com/Tencent/ncnn, docs/developer-guide: param-and-model-file-structure, operators. Batch norm behind a
convolution is folded into it, and a ReLU is part of the layer before it, as ncnn's own optimiser does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from verydeep.durable import write_atomic
from verydeep.errors import SpecError
from verydeep.rewrite.fold import fold, fold_weights
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

INPUT, OUTPUT = "images", "logits"
MAGIC = "7767517"  # the format of 2017, in which numbers stand as text
RAW = bytes(4)  # before a matrix: it is plain float32, not quantised
RELU = 1  # of activation_type

Weights = Mapping[str, npt.NDArray[Any]]


@dataclass(slots=True)
class _Writer:
    """The lines and numbers so far."""

    weights: Weights
    signals: Mapping[str, Signal]
    lines: list[str] = field(default_factory=list)
    numbers: list[bytes] = field(default_factory=list)
    blobs: int = 0

    def line(self, kind: str, name: str, inputs: list[str], outputs: list[str], **params: Any) -> None:
        """One layer; a parameter `p5=1` is written as 5=1."""
        self.blobs += len(outputs)
        told = [f"{key[1:]}={value}" for key, value in params.items()]
        self.lines.append(" ".join([kind, name, str(len(inputs)), str(len(outputs)), *inputs, *outputs, *told]))

    def array(self, name: str, *, flagged: bool = False) -> int:
        """Append an array, and return how many numbers it has; matrices of convolutions and products are flagged."""
        values = np.ascontiguousarray(self.weights[name], np.float32)
        self.numbers.append((RAW if flagged else b"") + values.tobytes())
        return values.size


def write(network: Network, weights: Weights, *, description: Path, weights_file: Path) -> None:
    """Write both files for inference on images of the network's size."""
    try:
        folded, arrays = fold(network), fold_weights(network, weights)
    except SpecError:  # nothing to fold
        folded, arrays = network, weights
    writer = _Writer(arrays, {step.layer.name: step.before for step in walk(folded)})
    writer.line("Input", INPUT, [], [INPUT])
    last = _sequence([layer for block in folded.blocks for layer in block.layers], INPUT, writer)
    writer.line("Noop", OUTPUT, [last], [OUTPUT])
    head = [MAGIC, f"{len(writer.lines)} {writer.blobs}"]
    write_atomic(description, "\n".join([*head, *writer.lines, ""]).encode())
    write_atomic(weights_file, b"".join(writer.numbers))


def _sequence(layers: list[Layer], x: str, writer: _Writer) -> str:
    """Write layers in a row that read the blob `x`; the blob that leaves them."""
    for place, layer in enumerate(layers):
        before, after = layers[place - 1 : place], layers[place + 1 : place + 2]
        is_inside = isinstance(layer, ReLU) and any(isinstance(one, Conv | Linear) for one in before)
        if isinstance(layer, Dropout) or is_inside:
            continue
        rectified = any(isinstance(one, ReLU) for one in after)
        x = _layer(layer, x, writer, rectified=rectified)
    return x


def _layer(layer: Layer, x: str, writer: _Writer, *, rectified: bool) -> str:
    name, signal = layer.name, writer.signals[layer.name]
    activation = {"p9": RELU} if rectified else {}
    match layer:
        case Conv():
            _conv(layer, x, writer, activation)
        case Pool():
            _pool(layer, x, writer)
        case Linear():
            count = writer.array(f"{name}.weight", flagged=True)
            _bias(layer, writer)
            told = {"p0": layer.features, "p1": int(layer.bias), "p2": count}
            writer.line("InnerProduct", name, [x], [name], **told, **activation)
        case BatchNorm():
            for part in ("weight", "running_mean", "running_var", "bias"):
                writer.array(f"{name}.{part}")
            writer.line("BatchNorm", name, [x], [name], p0=signal.shape[0], p1=layer.epsilon)
        case ReLU():
            writer.line("ReLU", name, [x], [name])
        case Tanh():
            writer.line("TanH", name, [x], [name])
        case LRN():
            alpha = layer.alpha * layer.size  # ncnn divides it by the size of the window
            writer.line("LRN", name, [x], [name], p0=0, p1=layer.size, p2=alpha, p3=layer.beta, p4=layer.k)
        case Flatten():
            writer.line("Flatten", name, [x], [name])
        case PadChannels():
            writer.line("Padding", name, [x], [name], p4=0, p5=0.0, p7=layer.before, p8=layer.after)
        case Parallel():
            _parallel(layer, x, writer)
        case Dropout():
            return x
        case _:
            assert_never(layer)
    return name


def _conv(layer: Conv, x: str, writer: _Writer, activation: Mapping[str, int]) -> None:
    (top, bottom), (left, right) = layer.padding
    count = writer.array(f"{layer.name}.weight", flagged=True)
    _bias(layer, writer)
    told = {
        "p0": layer.channels,
        "p1": layer.kernel[1],
        "p11": layer.kernel[0],
        "p2": layer.dilation[1],
        "p12": layer.dilation[0],
        "p3": layer.stride[1],
        "p13": layer.stride[0],
        "p4": left,
        "p14": top,
        "p15": right,
        "p16": bottom,
        "p5": int(layer.bias),
        "p6": count,
    }
    if layer.groups > 1:
        told["p7"] = layer.groups
    kind = "Convolution" if layer.groups == 1 else "ConvolutionDepthWise"
    writer.line(kind, layer.name, [x], [layer.name], **told, **activation)


def _pool(layer: Pool, x: str, writer: _Writer) -> None:
    kind = int(layer.pooling == "average")
    if layer.kernel is None:
        writer.line("Pooling", layer.name, [x], [f"{layer.name}_flat"], p0=kind, p4=1)
        channels = writer.signals[layer.name].shape[0]
        writer.line("Reshape", f"{layer.name}_map", [f"{layer.name}_flat"], [layer.name], p0=1, p1=1, p2=channels)
        return
    (top, bottom), (left, right) = layer.padding
    writer.line(
        "Pooling",
        layer.name,
        [x],
        [layer.name],
        p0=kind,
        p1=layer.kernel[1],
        p11=layer.kernel[0],
        p2=layer.stride[1],
        p12=layer.stride[0],
        p3=left,
        p14=right,
        p13=top,
        p15=bottom,
        p5=int(layer.rounding == "floor"),
    )


def _parallel(layer: Parallel, x: str, writer: _Writer) -> None:
    starts = [f"{layer.name}_in{number}" for number in range(len(layer.paths))]
    writer.line("Split", f"{layer.name}_split", [x], starts)
    ends = [_sequence(list(path), start, writer) for path, start in zip(layer.paths, starts, strict=True)]
    if layer.join == "concat":
        writer.line("Concat", layer.name, ends, [layer.name], p0=0)
    elif len(ends) == 2:
        writer.line("BinaryOp", layer.name, ends, [layer.name], p0=0)
    else:
        writer.line("Eltwise", layer.name, ends, [layer.name], p0=1)


def _bias(layer: Conv | Linear, writer: _Writer) -> None:
    if layer.bias:
        writer.array(f"{layer.name}.bias")
