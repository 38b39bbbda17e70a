"""A network that exists is valid; its shapes, costs and receptive fields follow from its layers alone."""

import subprocess
import sys
from dataclasses import FrozenInstanceError
from math import inf, nan, prod
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from verydeep.errors import SpecError
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
    Shape,
    Signal,
    Weight,
    branch,
    conv,
    pool,
    residual,
    walk,
    weights,
)


def chain(*layers: Layer, input: Shape = (3, 32, 32)) -> Network:
    """A network of one block."""
    return Network("net", input, (Block("block1", layers),))


def message(*layers: Layer, input: Shape = (3, 32, 32)) -> str:
    """What the constructor says of layers that do not fit."""
    with pytest.raises(SpecError) as caught:
        chain(*layers, input=input)
    return str(caught.value)


# What is refused, and in which words


def test_a_window_that_does_not_fit_is_named_with_its_block_layer_and_map():
    blocks = (
        Block("block1", (conv("conv1_1", 4, padding=1), pool("pool1", kernel=2, stride=2))),
        Block("block2", (pool("pool2", kernel=2, stride=2),)),
        Block("block3", (conv("conv3_1", 4, kernel=7),)),
    )
    with pytest.raises(SpecError) as caught:
        Network("net", (3, 24, 24), blocks)
    assert str(caught.value) == "block3/conv3_1: a window of 7 does not fit 6x6"


def test_a_rectangular_window_is_written_with_both_sides():
    assert message(conv("c", 4, kernel=(7, 3)), input=(3, 6, 9)) == "block1/c: a window of 7x3 does not fit 6x9"


def test_padding_that_does_not_help_is_said_too():
    words = message(conv("c", 4, kernel=9, padding=1), input=(3, 6, 6))
    assert words == "block1/c: a window of 9 does not fit 6x6 with padding 1"


def test_dilation_counts_in_the_reach_of_a_window():
    chain(Conv("c", 4, (3, 3), dilation=(2, 2)), input=(3, 5, 5))
    words = message(Conv("c", 4, (3, 3), dilation=(2, 2)), input=(3, 4, 5))
    assert words == "block1/c: a window of 3 does not fit 4x5"


def test_a_linear_layer_on_a_map_asks_for_a_flatten():
    words = message(Linear("fc", 10))
    assert words == "block1/fc: a linear layer reads a flat vector, not 3x32x32; put a Flatten before it"


@pytest.mark.parametrize(
    "layer",
    [conv("x", 4), pool("x"), pool("x", kernel=None), LRN("x"), Flatten("x"), PadChannels("x", before=1, after=1)],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_that_reads_a_map_refuses_a_flat_vector(layer: Layer):
    words = message(Flatten("flatten"), layer)
    assert words == "block1/x: this layer reads a map (channels, height, width), not 3072 flat numbers"


@pytest.mark.parametrize(("channels", "side"), [(5, "output"), (4, "input")])
def test_groups_divide_the_channels_on_both_sides(channels: int, side: str):
    words = message(conv("c", channels, groups=2), input=(3 if side == "input" else 4, 8, 8))
    assert words == f"block1/c: 2 groups do not divide {3 if side == 'input' else 5} {side} channels"


def test_only_maps_of_equal_size_stand_side_by_side():
    words = message(branch("both", (conv("c", 4),), ()))
    assert words == "block1/both: only maps of equal size can be joined, not 4x30x30, 3x32x32"


def test_only_equal_shapes_are_added():
    words = message(residual("sum", (conv("c", 4, padding=1),)))
    assert words == "block1/sum: only equal shapes can be added, not 4x32x32, 3x32x32"


def test_paths_that_step_by_different_distances_do_not_meet():
    # Both paths end in 1x1, but one position of the first stands for two pixels and of the second for one.
    words = message(branch("both", (conv("a", 4, kernel=2, stride=2),), (conv("b", 4, kernel=2),)), input=(3, 2, 2))
    assert words == "block1/both: the paths step by different distances: 2, 1"


def test_what_does_not_fit_inside_a_path_is_named_by_its_own_layer():
    words = message(branch("both", (conv("far", 4, kernel=40),), ()))
    assert words == "block1/far: a window of 40 does not fit 32x32"


@pytest.mark.parametrize("other", [ReLU("same"), branch("both", (ReLU("same"),), ())], ids=["beside", "in a path"])
def test_a_layer_name_given_twice_is_refused(other: Layer):
    assert message(ReLU("same"), other) == "net: layer names must differ; given twice: same"


def test_a_block_name_given_twice_is_refused():
    with pytest.raises(SpecError, match=r"^net: block names must differ; given twice: same$"):
        Network("net", (3, 8, 8), (Block("same", (ReLU("a"),)), Block("same", (ReLU("b"),))))


@pytest.mark.parametrize("name", ["", "conv 1", "1conv", "conv1.weight", "a/b", None, 7])
def test_a_name_is_an_identifier(name: Any):
    for make in (lambda: ReLU(name), lambda: Block(name, (ReLU("a"),)), lambda: Conv(name, 4, (3, 3))):
        with pytest.raises(SpecError, match="a name is letters, digits and underscores"):
            make()


def test_a_block_without_layers_and_a_network_without_blocks_are_refused():
    with pytest.raises(SpecError, match=r"^block head is empty$"):
        Block("head", ())
    with pytest.raises(SpecError, match=r"^net: a network has at least one block$"):
        Network("net", (3, 8, 8), ())


@pytest.mark.parametrize(
    ("input", "words"),
    [
        ((3, 8), r"net: the input is \(channels, height, width\), not \(3, 8\)"),
        ((0, 8, 8), "the input's channels must be a whole number of at least 1, not 0"),
        ((3, 0, 8), "the input's height must be a whole number of at least 1, not 0"),
        ((3, 8, 8.5), "the input's width must be a whole number of at least 1, not 8.5"),
        ((3, 8, 2**31), "the input's width must be at most 2147483647"),
    ],
)
def test_an_input_that_is_no_image_is_refused(input: Any, words: str):
    with pytest.raises(SpecError, match=words):
        Network("net", input, (Block("block1", (ReLU("relu"),)),))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Conv("x", 0, (3, 3)), "channels must be a whole number of at least 1, not 0"),
        (lambda: Conv("x", True, (3, 3)), "channels must be a whole number of at least 1, not True"),
        (lambda: Conv("x", 10**400, (3, 3)), "channels must be at most 2147483647"),
        (lambda: Conv("x", 4, (3, 0)), "kernel must be a whole number of at least 1, not 0"),
        (lambda: Conv("x", 4, 3), "kernel must be a pair (vertical, horizontal), not 3"),  # type: ignore[arg-type]
        (lambda: Conv("x", 4, (3, 3), stride=(0, 1)), "stride must be a whole number of at least 1, not 0"),
        (lambda: Conv("x", 4, (3, 3), dilation=(0, 1)), "dilation must be a whole number of at least 1, not 0"),
        (lambda: Conv("x", 4, (3, 3), padding=((0, -1), (0, 0))), "padding must be a whole number of at least 0"),
        (lambda: Conv("x", 4, (3, 3), padding=(1, 1)), "padding must be a pair"),  # type: ignore[arg-type]
        (lambda: Conv("x", 4, (3, 3), groups=0), "groups must be a whole number of at least 1, not 0"),
        (lambda: Conv("x", 4, (3, 3), bias=1), "bias must be true or false, not 1"),  # type: ignore[arg-type]
        (lambda: Pool("x", "mean", (2, 2)), "pooling must be max or average, not 'mean'"),  # type: ignore[arg-type]
        (lambda: pool("x", rounding="up"), "rounding must be floor or ceil, not 'up'"),  # type: ignore[arg-type]
        (lambda: pool("x", kernel=2, padding=2), "a padding of 2 leaves a window of 2 with nothing to read"),
        (lambda: pool("x", kernel=None, stride=2), "a pool over the whole map has no stride and no padding"),
        (lambda: pool("x", kernel=None, padding=1), "a pool over the whole map has no stride and no padding"),
        (lambda: Linear("x", 0), "features must be a whole number of at least 1, not 0"),
        (lambda: Linear("x", 4, bias=None), "bias must be true or false, not None"),  # type: ignore[arg-type]
        (lambda: BatchNorm("x", epsilon=0), "epsilon must be a number above 0, not 0"),
        (lambda: BatchNorm("x", epsilon=nan), "epsilon must be a number above 0, not nan"),
        (lambda: BatchNorm("x", epsilon=inf), "epsilon must be a number above 0, not inf"),
        (lambda: BatchNorm("x", epsilon=10**400), "epsilon must be a number above 0"),
        (lambda: BatchNorm("x", momentum=1.5), "momentum must be a number between 0 and 1, not 1.5"),
        (lambda: Dropout("x", -0.1), "rate must be a number between 0 and 1, not -0.1"),
        (lambda: Dropout("x", 1.0), "a rate of 1 would drop everything"),
        (lambda: Dropout("x", True), "rate must be a number between 0 and 1, not True"),
        (lambda: LRN("x", 4), "size must be odd so that a channel has as many neighbours on both sides, not 4"),
        (lambda: LRN("x", alpha=-1), "alpha must be a number of at least 0, not -1"),
        (lambda: LRN("x", beta=nan), "beta must be a number of at least 0, not nan"),
        (lambda: LRN("x", k=0), "k must be a number above 0, not 0"),
        (lambda: PadChannels("x", before=-1, after=0), "before must be a whole number of at least 0, not -1"),
        (lambda: PadChannels("x", before=0, after=0.5), "after must be"),  # type: ignore[arg-type]
        (lambda: branch("x", ()), "paths that run side by side must be two or more"),
        (lambda: Parallel("x", ((), ()), "sum"), "join must be concat or add, not 'sum'"),  # type: ignore[arg-type]
    ],
)
def test_a_number_out_of_range_is_refused_by_name(make: Any, words: str):
    with pytest.raises(SpecError) as caught:
        make()
    assert str(caught.value).startswith(words)


def test_a_description_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        chain(ReLU("relu")).name = "other"  # type: ignore[misc]


# What follows from the layers


@pytest.mark.parametrize(("convolutions", "window"), [(1, 3), (2, 5), (3, 7)])
def test_a_stack_of_3x3_convolutions_sees_like_one_larger_window(convolutions: int, window: int):
    stack = chain(*(conv(f"conv{index}", 4, padding=1) for index in range(convolutions)))
    assert stack.output.receptive_field == (window, window)
    assert stack.output.origin == (-convolutions, -convolutions)
    assert stack.output.shape == (4, 32, 32)


def test_three_3x3_have_27_weights_where_one_7x7_has_49():
    channels = 64

    def count(*layers: Layer) -> int:
        return sum(prod(weight.shape) for weight in weights(chain(*layers, input=(channels, 32, 32))).values())

    three = count(*(conv(f"conv{index}", channels, padding=1, bias=False) for index in range(3)))
    one = count(conv("conv", channels, kernel=7, padding=3, bias=False))
    assert (three, one) == (27 * channels**2, 49 * channels**2)
    assert round(100 * (one / three - 1)) == 81  # per cent more, as the paper says


def test_a_stride_multiplies_the_step_and_widens_what_follows():
    end = chain(conv("a", 4, kernel=3, stride=2), conv("b", 4, kernel=3)).output
    assert end == Signal((4, 13, 13), receptive_field=(7, 7), step=(2, 2), origin=(0, 0))


def test_vertical_and_horizontal_geometry_are_kept_apart():
    layer = Conv("c", 4, (3, 5), stride=(1, 2), padding=((1, 0), (0, 3)), dilation=(2, 1))
    end = chain(layer, conv("d", 4, kernel=(1, 2)), input=(3, 16, 32)).output
    assert end == Signal((4, 13, 15), receptive_field=(5, 7), step=(1, 2), origin=(-1, 0))


def test_a_flat_vector_sees_the_whole_padded_window_of_its_map():
    end = chain(conv("c", 4, padding=1), Flatten("flatten"), Linear("fc", 10)).output
    assert end == Signal((10,), receptive_field=(34, 34), step=(1, 1), origin=(-1, -1))


def test_a_pool_over_the_whole_map_sees_what_all_its_positions_see():
    end = chain(conv("c", 4, kernel=3, stride=2), pool("mean", "average", kernel=None), input=(3, 9, 11)).output
    assert end == Signal((4, 1, 1), receptive_field=(9, 11), step=(2, 2), origin=(0, 0))


def test_where_paths_meet_the_window_contains_them_all():
    # One path looks two pixels up and left, the other two down and right: together they see 5 + 2 + 2 pixels.
    left = Conv("left", 4, (5, 5), padding=((4, 0), (4, 0)))
    right = Conv("right", 4, (5, 5), padding=((0, 4), (0, 4)))
    end = chain(branch("both", (left,), (right,))).output
    assert end == Signal((8, 32, 32), receptive_field=(9, 9), step=(1, 1), origin=(-4, -4))


def test_side_by_side_channels_add_up_and_added_channels_stay():
    assert chain(branch("b", (conv("c", 5, padding=1),), ())).output.shape == (8, 32, 32)
    assert chain(residual("r", (conv("c", 3, padding=1),))).output.shape == (3, 32, 32)


def test_the_layers_of_paths_are_walked_before_their_join():
    inner = branch("inner", (ReLU("a"),), (ReLU("b"),))
    steps = walk(Network("net", (3, 8, 8), (Block("x", (inner, conv("c", 6))), Block("y", (ReLU("d"),)))))
    assert [(step.block, step.layer.name) for step in steps] == [
        ("x", "a"),
        ("x", "b"),
        ("x", "inner"),
        ("x", "c"),
        ("y", "d"),
    ]
    assert steps[3].before.shape == (6, 8, 8)
    assert steps[3].after == steps[4].before


def test_every_array_has_a_canonical_name_and_a_shape():
    layers = (conv("c", 6, groups=3, bias=False), BatchNorm("n"), Flatten("f"), Linear("fc", 2))
    assert weights(chain(*layers, input=(3, 4, 4))) == {
        "c.weight": Weight("weight", (6, 1, 3, 3)),
        "n.weight": Weight("weight", (6,)),
        "n.bias": Weight("bias", (6,)),
        "n.running_mean": Weight("running_mean", (6,), learned=False),
        "n.running_var": Weight("running_var", (6,), learned=False),
        "fc.weight": Weight("weight", (2, 24)),
        "fc.bias": Weight("bias", (2,)),
    }


def test_costs_are_multiplications_of_convolutions_and_linear_layers_only():
    layers = (conv("c", 6, groups=3, padding=1), ReLU("r"), pool("p", stride=2), Flatten("f"), Linear("fc", 2))
    costs = {step.layer.name: step.layer.macs(step.before) for step in walk(chain(*layers, input=(3, 4, 4)))}
    assert costs == {"c": 4 * 4 * 6 * 1 * 3 * 3, "r": 0, "p": 0, "f": 0, "fc": 2 * 24}


def test_channels_of_zeros_widen_a_map_and_nothing_else():
    before, after = Signal((3, 8, 8), (5, 5), (2, 2), (-1, -1)), Signal((8, 8, 8), (5, 5), (2, 2), (-1, -1))
    assert PadChannels("p", before=1, after=4).infer(before) == after


# Sizes, against PyTorch's own


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    kernel=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    stride=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    pooling=st.sampled_from(["max", "average"]),
    rounding=st.sampled_from(["floor", "ceil"]),
)
def test_a_pool_gives_the_size_that_pytorch_gives(size, kernel, stride, padding, pooling, rounding):
    assume(all(2 * side <= length for side, length in zip(padding, kernel, strict=True)))  # all that PyTorch takes
    assume(all(n + 2 * p >= k for n, p, k in zip(size, padding, kernel, strict=True)))
    sides = ((padding[0], padding[0]), (padding[1], padding[1]))
    ours = Pool("pool", pooling, kernel, stride, sides, rounding).infer(Signal((1, *size))).shape
    reduce = functional.max_pool2d if pooling == "max" else functional.avg_pool2d
    theirs = reduce(torch.zeros(1, 1, *size), kernel, stride, padding, ceil_mode=rounding == "ceil").shape
    assert ours == tuple(theirs[1:])


@settings(max_examples=100, deadline=None)
@given(
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_a_convolution_gives_the_size_that_pytorch_gives(size, kernel, stride, padding, dilation):
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    assume(all(n + 2 * p >= r for n, p, r in zip(size, padding, reach, strict=True)))
    sides = ((padding[0], padding[0]), (padding[1], padding[1]))
    ours = Conv("conv", 2, kernel, stride, sides, dilation).infer(Signal((1, *size))).shape
    images, kernels = torch.zeros(1, 1, *size, device="meta"), torch.zeros(2, 1, *kernel, device="meta")
    theirs = functional.conv2d(images, kernels, stride=stride, padding=padding, dilation=dilation).shape
    assert ours == tuple(theirs[1:])


# What importing costs


@pytest.mark.parametrize("module", ["verydeep", "verydeep.families.catalog", "verydeep.spec_json", "verydeep.errors"])
def test_describing_a_network_loads_no_framework(module: str):
    frameworks = {"torch", "torchvision", "numpy", "keras", "tensorflow", "jax", "mxnet", "PIL"}
    script = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "verydeep" in loaded
    assert not frameworks & set(loaded)
