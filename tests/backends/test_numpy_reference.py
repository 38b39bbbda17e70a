"""The float64 reference means what the layers say, held to SciPy and to plain loops (within 1e-12)."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from verydeep.backends import numpy_reference
from verydeep.families.catalog import network
from verydeep.spec import (
    LRN,
    BatchNorm,
    Block,
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
    Tanh,
    branch,
    conv,
    pool,
    residual,
    walk,
    weights,
)
from verydeep.weights.initial import initial

Array = npt.NDArray[Any]

PRECISION = 1e-12


def chain(shape: tuple[int, ...], *layers: Layer) -> Network:
    return Network("net", shape, (Block("block1", layers),))


def numbers(shape: tuple[int, ...], seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def outcome(layer: Layer, images: Array, arrays: dict[str, Array] | None = None, *, mode: Any = "eval") -> Array:
    """What the reference makes of a single layer."""
    named = {f"{layer.name}.{name}": array for name, array in (arrays or {}).items()}
    return numpy_reference.run(chain(images.shape[1:], layer), named, images, mode=mode)["output"]


def assert_close(found: Array, expected: Array) -> None:
    assert found.dtype == np.float64
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=PRECISION * max(1.0, np.abs(expected).max()))


def pairs(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv, tuple[int, int, int, int]]:
    """A convolution and the shape of the images that it reads."""
    groups = draw(st.integers(1, 3))
    kernel, dilation, padding = draw(pairs(1, 4)), draw(pairs(1, 3)), (draw(pairs(0, 3)), draw(pairs(0, 3)))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [draw(st.integers(max(1, r - sum(p)), 10)) for r, p in zip(reach, padding, strict=True)]
    layer = Conv(
        "conv",
        groups * draw(st.integers(1, 2)),
        kernel,
        stride=draw(pairs(1, 3)),
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
    )
    return layer, (draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), size[0], size[1])


@settings(max_examples=80, deadline=None)
@given(drawn=convolutions(), seed=SEEDS)
def test_a_convolution_is_scipys_correlation_of_every_channel_summed(drawn: Any, seed: int):
    layer, shape = drawn
    images = numbers(shape, seed)
    inputs, outputs = shape[1] // layer.groups, layer.channels // layer.groups
    kernels, bias = numbers((layer.channels, inputs, *layer.kernel), seed + 1), numbers((layer.channels,), seed + 2)
    spread = np.zeros(
        (*kernels.shape[:2], *((k - 1) * d + 1 for k, d in zip(layer.kernel, layer.dilation, strict=True)))
    )
    spread[:, :, :: layer.dilation[0], :: layer.dilation[1]] = kernels
    padded = np.pad(images, ((0, 0), (0, 0), *layer.padding))
    expected = np.stack(
        [
            np.stack(
                [
                    sum(
                        signal.correlate(image[channel + output // outputs * inputs], kernel, "valid", "direct")
                        for channel, kernel in enumerate(spread[output])
                    )
                    for output in range(layer.channels)
                ]
            )
            for image in padded
        ]
    )[:, :, :: layer.stride[0], :: layer.stride[1]]
    arrays = {"weight": kernels}
    if layer.bias:
        arrays["bias"] = bias
        expected = expected + bias[:, None, None]
    assert_close(outcome(layer, images, arrays), expected)


def starts(size: int, kernel: int, stride: int, padding: tuple[int, int], rounding: str) -> list[int]:
    """Where the windows of a pool begin along one side, told without a formula."""
    before, after = padding
    found = [-before]
    while True:
        start, end = found[-1] + stride, found[-1] + stride + kernel
        if rounding == "floor" and end > size + after:
            return found
        if rounding == "ceil" and (start >= size or found[-1] + kernel >= size + after):
            return found
        found.append(start)


@st.composite
def pools(draw: st.DrawFn) -> tuple[Pool, tuple[int, int, int, int]]:
    kernel = draw(pairs(1, 4))
    padding = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in kernel)
    size = [draw(st.integers(max(1, k - sum(p)), 9)) for k, p in zip(kernel, padding, strict=True)]
    pooling: Any = draw(st.sampled_from(["max", "average"]))
    rounding: Any = draw(st.sampled_from(["floor", "ceil"]))
    layer = Pool("pool", pooling, kernel, draw(pairs(1, 4)), (padding[0], padding[1]), rounding)
    return layer, (draw(st.integers(1, 2)), draw(st.integers(1, 2)), size[0], size[1])


@settings(max_examples=80, deadline=None)
@given(drawn=pools(), seed=SEEDS)
def test_a_pool_takes_the_maximum_or_the_mean_of_what_is_real_in_its_window(drawn: Any, seed: int):
    layer, (count, channels, height, width) = drawn
    images = numbers((count, channels, height, width), seed)
    rows = starts(height, layer.kernel[0], layer.stride[0], layer.padding[0], layer.rounding)
    columns = starts(width, layer.kernel[1], layer.stride[1], layer.padding[1], layer.rounding)
    expected = np.empty((count, channels, len(rows), len(columns)))
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            real = images[
                :,
                :,
                max(top, 0) : min(top + layer.kernel[0], height),
                max(left, 0) : min(left + layer.kernel[1], width),
            ]
            expected[:, :, i, j] = real.max((2, 3)) if layer.pooling == "max" else real.mean((2, 3))
    assert_close(outcome(layer, images), expected)


@settings(max_examples=10, deadline=None)
@given(size=pairs(1, 6), seed=SEEDS)
def test_a_pool_without_a_window_reads_the_whole_map(size: tuple[int, int], seed: int):
    images = numbers((2, 3, *size), seed)
    assert_close(outcome(pool("p", kernel=None), images), images.max((2, 3), keepdims=True))
    assert_close(outcome(pool("p", "average", kernel=None), images), images.mean((2, 3), keepdims=True))


@settings(max_examples=20, deadline=None)
@given(
    channels=st.integers(1, 7),
    size=st.sampled_from([1, 3, 5]),
    alpha=st.floats(0, 2),
    beta=st.floats(0, 2),
    k=st.floats(0.1, 3),
    seed=SEEDS,
)
def test_lrn_is_the_published_formula(channels: int, size: int, alpha: float, beta: float, k: float, seed: int):
    images = numbers((2, channels, 2, 3), seed)
    expected = np.empty_like(images)
    for n, c, i, j in np.ndindex(images.shape):
        near = range(max(0, c - size // 2), min(channels - 1, c + size // 2) + 1)
        squares = sum(images[n, neighbour, i, j] ** 2 for neighbour in near)
        expected[n, c, i, j] = images[n, c, i, j] / (k + alpha * squares) ** beta
    assert_close(outcome(LRN("lrn", size, alpha, beta, k), images), expected)


@settings(max_examples=20, deadline=None)
@given(inputs=st.integers(1, 8), outputs=st.integers(1, 8), bias=st.booleans(), seed=SEEDS)
def test_a_linear_layer_is_a_weighted_sum(inputs: int, outputs: int, bias: bool, seed: int):
    images, weight, shift = (
        numbers((2, inputs, 1, 1), seed),
        numbers((outputs, inputs), seed + 1),
        numbers((outputs,), 2),
    )
    expected = np.empty((2, outputs))
    for n, o in np.ndindex(expected.shape):
        expected[n, o] = sum(weight[o, i] * images[n, i, 0, 0] for i in range(inputs)) + (shift[o] if bias else 0.0)
    arrays = {"fc.weight": weight} | ({"fc.bias": shift} if bias else {})
    net = chain((inputs, 1, 1), Flatten("flatten"), Linear("fc", outputs, bias=bias))
    assert_close(numpy_reference.run(net, arrays, images)["output"], expected)


@settings(max_examples=20, deadline=None)
@given(epsilon=st.floats(1e-6, 1), mode=st.sampled_from(["train", "eval"]), flat=st.booleans(), seed=SEEDS)
def test_batch_norm_brings_each_channel_to_mean_0_and_variance_1(epsilon: float, mode: Any, flat: bool, seed: int):
    images = numbers((4, 3, 1, 1) if flat else (4, 3, 2, 5), seed)
    arrays = {
        name: np.abs(numbers((3,), seed + i))
        for i, name in enumerate(("weight", "bias", "running_mean", "running_var"))
    }
    expected = np.empty_like(images)
    for c in range(3):
        channel = [images[n, c, i, j] for n, _, i, j in np.ndindex(images.shape) if _ == c]
        mean = sum(channel) / len(channel) if mode == "train" else arrays["running_mean"][c]
        biased = sum((x - mean) ** 2 for x in channel) / len(channel)
        variance = biased if mode == "train" else arrays["running_var"][c]
        expected[:, c] = (images[:, c] - mean) / (variance + epsilon) ** 0.5 * arrays["weight"][c] + arrays["bias"][c]
    if not flat:
        assert_close(outcome(BatchNorm("norm", epsilon), images, arrays, mode=mode), expected)
        return
    net = chain((3, 1, 1), Flatten("flatten"), BatchNorm("norm", epsilon))
    named = {f"norm.{name}": array for name, array in arrays.items()}
    assert_close(numpy_reference.run(net, named, images, mode=mode)["output"], expected[:, :, 0, 0])


def test_relu_and_tanh_act_on_every_number():
    images = np.array([-2.0, -0.0, 0.5, 3.0]).reshape(1, 1, 2, 2)
    assert_close(outcome(ReLU("relu"), images), np.array([0.0, 0.0, 0.5, 3.0]).reshape(1, 1, 2, 2))
    e = np.exp(2 * images)
    assert_close(outcome(Tanh("tanh"), images), (e - 1) / (e + 1))


def test_flatten_runs_over_channels_then_rows_then_columns():
    images = np.arange(24.0).reshape(1, 2, 3, 4)
    expected = [images[0, c, i, j] for c in range(2) for i in range(3) for j in range(4)]
    assert outcome(Flatten("flatten"), images).tolist() == [expected]


def test_channels_of_zeros_come_before_and_after():
    found = outcome(PadChannels("pad", before=1, after=2), np.ones((1, 2, 1, 1)))
    assert found[:, :, 0, 0].tolist() == [[0, 1, 1, 0, 0]]


def test_paths_are_joined_in_their_order_and_may_hold_paths():
    images = np.array([1.0, -2.0]).reshape(1, 2, 1, 1)
    inner = branch("inner", (), (ReLU("relu"),))
    assert outcome(inner, images)[:, :, 0, 0].tolist() == [[1, -2, 1, 0]]
    doubled = Parallel("sum", ((inner,), (branch("other", (), ()),), (PadChannels("pad", 0, 2),)), "add")
    assert outcome(doubled, images)[:, :, 0, 0].tolist() == [[3, -6, 2, -2]]
    assert outcome(residual("twice", ()), images)[:, :, 0, 0].tolist() == [[2, -4]]


def test_dropout_is_absent_in_evaluation_and_refused_in_training():
    images = numbers((1, 2, 2, 2), 0)
    assert_close(outcome(Dropout("drop", 0.5), images), images)
    assert_close(outcome(Dropout("drop", 0.0), images, mode="train"), images)
    with pytest.raises(ValueError, match="drop: the reference has no random numbers; build with dropout 0"):
        outcome(Dropout("drop", 0.5), images, mode="train")


def test_only_the_tapped_layers_and_the_output_are_kept():
    net = network("lenet5")
    found = numpy_reference.run(net, initial(net), numbers((1, 1, 28, 28), 0), taps=("pool1", "fc4"))
    assert {name: array.shape for name, array in found.items()} == {
        "pool1": (1, 6, 14, 14),
        "fc4": (1, 84),
        "output": (1, 10),
    }


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_position_sees_exactly_the_window_that_the_description_gives(data: st.DataObject):
    # With positive weights, a pixel that is changed shows in exactly those positions whose window holds it. A padding
    # as large as its kernel would add positions that read nothing but padding, whatever their window.
    def layer(name: str) -> Conv:
        kernel = data.draw(pairs(1, 3))
        padding = (data.draw(pairs(0, kernel[0] - 1)), data.draw(pairs(0, kernel[1] - 1)))
        return Conv(name, 1, kernel, stride=data.draw(pairs(1, 2)), padding=padding, bias=False)

    layers = (layer("a"), branch("both", (conv("b", 1, kernel=3, padding=1, bias=False),), ()), layer("c"))
    size = (9, 11)
    net = chain((1, *size), *layers)
    arrays = {name: np.ones(weight.shape) for name, weight in weights(net).items()}
    pixel = (data.draw(st.integers(0, size[0] - 1)), data.draw(st.integers(0, size[1] - 1)))
    image = np.zeros((1, 1, *size))
    image[0, 0, *pixel] = 1.0
    reached = numpy_reference.run(net, arrays, image)["output"][0, 0] > 0
    end = walk(net)[-1].after
    for position in np.ndindex(reached.shape):
        first = [end.origin[axis] + position[axis] * end.step[axis] for axis in (0, 1)]
        within = all(first[axis] <= pixel[axis] < first[axis] + end.receptive_field[axis] for axis in (0, 1))
        assert within or not reached[position]
        # Strides that jump over rows leave holes in a window: only an unbroken window is seen whole.
        unbroken = all(step.layer.stride == (1, 1) for step in walk(net) if isinstance(step.layer, Conv))
        assert not (within and unbroken) or reached[position]
