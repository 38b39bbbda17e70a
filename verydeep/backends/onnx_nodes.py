"""Each kind of layer as ONNX operators, chosen so that onnxruntime and ONNX's own evaluator read them alike.

Operators are those of opset 14 (github.com/onnx/onnx, docs/Operators.md), the first in which that evaluator's batch
norm is right. Its LRN counts images where it should count channels, so LRN is written as its formula.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, assert_never

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from verydeep.backends.numpy_reference import Mode
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
    Parallel,
    Pool,
    ReLU,
    Signal,
    Tanh,
)

OPSET = 14
RUNNING = ("running_mean", "running_var")


def sequence(
    layers: Iterable[Layer], x: str, *, signals: Mapping[str, Signal], mode: Mode, seed: int
) -> Iterator[NodeProto]:
    """The nodes of layers in a row that read the tensor `x`; a layer's output is the tensor of its name.

    Args:
        layers: Layers of one path.
        x: Name of the tensor that the first of them reads.
        signals: What enters each layer, by its name.
        mode: In "train" batch norm uses the batch, and `after_batch` names its new running statistics.
        seed: Of dropout.
    """
    for layer in layers:
        yield from _nodes(layer, x, signals=signals, mode=mode, seed=seed)
        x = layer.name


def after_batch(statistic: str) -> str:
    """The tensor of a train graph that holds a running statistic after the batch: ``norm1.running_mean.after``."""
    return f"{statistic}.after"


def _nodes(layer: Layer, x: str, *, signals: Mapping[str, Signal], mode: Mode, seed: int) -> Iterator[NodeProto]:
    name = layer.name
    match layer:
        case Conv():
            yield _conv(layer, x)
        case Pool():
            yield _pool(layer, x)
        case Linear():
            yield _node("Gemm", (x, *_weights(layer)), name, transB=1)
        case BatchNorm():
            axes = [0, *range(2, len(signals[name].shape) + 1)]
            yield from _by_batch(layer, x, axes=axes) if mode == "train" else _by_running(layer, x)
        case ReLU():
            yield _node("Relu", (x,), name)
        case Tanh():
            yield _node("Tanh", (x,), name)
        case Dropout():
            yield from _dropout(layer, x, mode=mode, seed=seed)
        case LRN():
            yield from _local_response(layer, x)
        case Flatten():
            yield _node("Flatten", (x,), name, axis=1)
        case PadChannels():
            yield _constant(f"{name}.pads", np.array([0, layer.before, 0, 0, 0, layer.after, 0, 0]))
            yield _node("Pad", (x, f"{name}.pads"), name, mode="constant")
        case Parallel():
            for path in layer.paths:
                yield from sequence(path, x, signals=signals, mode=mode, seed=seed)
            yield from _join(layer, [path[-1].name if path else x for path in layer.paths])
        case _:
            assert_never(layer)


def _conv(layer: Conv, x: str) -> NodeProto:
    return _node(
        "Conv",
        (x, *_weights(layer)),
        layer.name,
        kernel_shape=layer.kernel,
        strides=layer.stride,
        pads=_sides(layer.padding),
        dilations=layer.dilation,
        group=layer.groups,
    )


def _pool(layer: Pool, x: str) -> NodeProto:
    operator = {"max": "MaxPool", "average": "AveragePool"}[layer.pooling]
    if layer.kernel is None:
        return _node(f"Global{operator}", (x,), layer.name)
    # Engines disagree about last windows that begin in padding when sizes are rounded up. So ours are rounded down,
    # behind just as much padding as lets every window in that begins in the map, and no other.
    padding = layer.padding
    if layer.rounding == "ceil":
        (top, bottom), (left, right) = padding
        bottom = min(bottom + layer.stride[0], layer.kernel[0]) - 1
        right = min(right + layer.stride[1], layer.kernel[1]) - 1
        padding = ((top, bottom), (left, right))
    options = {} if layer.pooling == "max" else {"count_include_pad": 0}
    window = {"kernel_shape": layer.kernel, "strides": layer.stride, "pads": _sides(padding)}
    return _node(operator, (x,), layer.name, **window, **options)


def _by_running(layer: BatchNorm, x: str) -> Iterator[NodeProto]:
    inputs = (x, *(f"{layer.name}.{weight}" for weight in ("weight", "bias", *RUNNING)))
    yield _node("BatchNormalization", inputs, layer.name, epsilon=layer.epsilon)


def _by_batch(layer: BatchNorm, x: str, *, axes: list[int]) -> Iterator[NodeProto]:
    """Batch norm with the batch's mean and biased variance, and the running statistics after it.

    The operator has a training mode of its own, but releases of onnxruntime refuse it, and with it the running
    variance would follow the biased one.
    """
    name = layer.name
    yield _node("ReduceMean", (x,), f"{name}.means", axes=axes, keepdims=1)
    yield _node("Sub", (x, f"{name}.means"), f"{name}.centred")
    yield _node("Mul", (f"{name}.centred", f"{name}.centred"), f"{name}.squares")
    yield _node("ReduceMean", (f"{name}.squares",), f"{name}.variance", axes=axes, keepdims=0)
    yield _constant(f"{name}.flat", np.array([-1]))
    yield _node("Reshape", (f"{name}.means", f"{name}.flat"), f"{name}.mean")
    inputs = (x, *(f"{name}.{statistic}" for statistic in ("weight", "bias", "mean", "variance")))
    yield _node("BatchNormalization", inputs, name, epsilon=layer.epsilon)
    yield _node("Size", (x,), f"{name}.numbers")
    yield _node("Size", (f"{name}.mean",), f"{name}.channels")
    yield _node("Div", (f"{name}.numbers", f"{name}.channels"), f"{name}.whole_count")
    yield _node("Cast", (f"{name}.whole_count",), f"{name}.count", to=1)
    yield _constant(f"{name}.one", np.array(1, np.float32))
    yield _node("Sub", (f"{name}.count", f"{name}.one"), f"{name}.freedom")
    yield _node("Div", (f"{name}.count", f"{name}.freedom"), f"{name}.correction")
    yield _node("Mul", (f"{name}.variance", f"{name}.correction"), f"{name}.unbiased")
    yield _constant(f"{name}.keep", np.array(1 - layer.momentum, np.float32))
    yield _constant(f"{name}.momentum", np.array(layer.momentum, np.float32))
    for statistic, batch in zip(RUNNING, (f"{name}.mean", f"{name}.unbiased"), strict=True):
        running = f"{name}.{statistic}"
        yield _node("Mul", (running, f"{name}.keep"), f"{running}.kept")
        yield _node("Mul", (batch, f"{name}.momentum"), f"{running}.new")
        yield _node("Add", (f"{running}.kept", f"{running}.new"), after_batch(running))


def _dropout(layer: Dropout, x: str, *, mode: Mode, seed: int) -> Iterator[NodeProto]:
    name = layer.name
    yield _constant(f"{name}.rate", np.array(layer.rate, np.float32))
    if mode == "eval":
        yield _node("Dropout", (x, f"{name}.rate"), name)
        return
    yield _constant(f"{name}.drops", np.array(True))
    own = np.random.SeedSequence((seed, *name.encode())).generate_state(1)  # equal seeds would drop equal places
    yield _node("Dropout", (x, f"{name}.rate", f"{name}.drops"), name, seed=int(own[0]))


def _local_response(layer: LRN, x: str) -> Iterator[NodeProto]:
    """The published formula; the sum over neighbours is `size` times a mean that counts the zeros around them."""
    name, side = layer.name, layer.size // 2
    yield _node("Mul", (x, x), f"{name}.squares")
    yield _constant(f"{name}.axis", np.array([1]))
    yield _node("Unsqueeze", (f"{name}.squares", f"{name}.axis"), f"{name}.volume")  # (n, 1, c, h, w)
    window = {"kernel_shape": (layer.size, 1, 1), "pads": (side, 0, 0, side, 0, 0), "count_include_pad": 1}
    yield _node("AveragePool", (f"{name}.volume",), f"{name}.means", **window)
    yield _node("Squeeze", (f"{name}.means", f"{name}.axis"), f"{name}.mean")
    numbers = {"alpha": layer.alpha * layer.size, "k": layer.k, "beta": layer.beta}
    for what, number in numbers.items():
        yield _constant(f"{name}.{what}", np.array(number, np.float32))
    yield _node("Mul", (f"{name}.mean", f"{name}.alpha"), f"{name}.scaled")
    yield _node("Add", (f"{name}.scaled", f"{name}.k"), f"{name}.sum")
    yield _node("Pow", (f"{name}.sum", f"{name}.beta"), f"{name}.divisor")
    yield _node("Div", (x, f"{name}.divisor"), name)


def _join(layer: Parallel, ends: list[str]) -> Iterator[NodeProto]:
    if layer.join == "concat":
        yield _node("Concat", ends, layer.name, axis=1)
        return
    # Not `Sum`, which takes all ends at once: engines quantise `Add` and leave `Sum` in floating point.
    total, *others = ends
    for number, end in enumerate(others, start=1):
        output = layer.name if number == len(others) else f"{layer.name}.sum{number}"
        yield _node("Add", (total, end), output)
        total = output


def _weights(layer: Conv | Linear) -> tuple[str, ...]:
    return (f"{layer.name}.weight", f"{layer.name}.bias") if layer.bias else (f"{layer.name}.weight",)


def _sides(padding: Padding) -> tuple[int, int, int, int]:
    """Padding in ONNX's order: all beginnings, then all ends."""
    (top, bottom), (left, right) = padding
    return top, left, bottom, right


def _node(operator: str, inputs: Iterable[str], output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(operator, list(inputs), [output], name=output, **attributes)


def _constant(name: str, value: np.ndarray[Any, Any]) -> NodeProto:
    """A node and not an initializer: initializers are the weights, and nothing else."""
    return helper.make_node("Constant", [], [name], name=name, value=numpy_helper.from_array(value))
