"""Keras's words for padding are used where they mean the same, and nowhere else; no Keras is needed to know it."""

from typing import Literal

import pytest

from verydeep.backends.keras_words import KerasPadding, of_conv, of_pool, plan, reads_nonnegative
from verydeep.families.catalog import network
from verydeep.rewrite.dense import dense
from verydeep.spec import Block, Conv, Network, Pool, ReLU, conv, pool, walk

SAME, VALID, OWN = KerasPadding("same"), KerasPadding("valid"), KerasPadding("own")


def zeros(*sides: tuple[int, int]) -> KerasPadding:
    vertical, horizontal = sides
    return KerasPadding("valid", zeros=(vertical, horizontal))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (conv("conv", 8, kernel=3, padding=1), SAME),
        (conv("conv", 8, kernel=3), VALID),
        (conv("conv", 8, kernel=1), VALID),
        (conv("conv", 8, kernel=5, padding=1), zeros((1, 1), (1, 1))),
        (conv("conv", 8, kernel=(1, 3), padding=(0, 1)), SAME),
        (Conv("conv", 8, (2, 2), padding=((0, 1), (0, 1))), SAME),  # Keras puts the odd row after the map
        (Conv("conv", 8, (2, 2), padding=((1, 0), (1, 0))), zeros((1, 0), (1, 0))),
        (Conv("conv", 8, (3, 3), padding=((2, 2), (2, 2)), dilation=(2, 2)), SAME),
        (conv("conv", 8, kernel=3, stride=2, padding=1), zeros((1, 1), (1, 1))),  # "same" depends on the size there
    ],
    ids=str,
)
def test_a_convolution(layer: Conv, expected: KerasPadding):
    assert of_conv(layer) == expected


def said(
    layer: Pool, *, height: int = 8, size: Literal["fixed", "any"] = "fixed", nonnegative: bool = False
) -> KerasPadding:
    return of_pool(layer, (4, height, 8), size=size, nonnegative=nonnegative)


def test_a_pool_without_padding():
    halving = pool("pool", kernel=2, stride=2)
    assert said(halving) == said(halving, height=9) == said(halving, size="any") == VALID


def test_padding_that_no_window_reads_is_none():
    assert said(Pool("pool", "max", (2, 2), (2, 2), ((0, 1), (0, 1)))) == VALID


def test_a_pool_that_rounds_up_is_same_at_one_size_and_has_no_word_at_any():
    halving = pool("pool", kernel=2, stride=2, rounding="ceil")
    assert said(halving, height=9) == SAME
    assert said(halving, height=8) == VALID
    overlapping = pool("pool", kernel=3, stride=2, rounding="ceil")  # GoogLeNet's
    assert said(overlapping) == SAME
    assert said(overlapping, size="any", nonnegative=True) == OWN


def test_a_pool_that_keeps_the_size_is_same_at_any():
    inception = pool("pool", kernel=3, padding=1, rounding="ceil")
    assert said(inception) == said(inception, size="any") == SAME


def test_zeros_around_a_map_are_harmless_to_a_maximum_after_a_relu():
    resnet = pool("pool", kernel=3, stride=2, padding=1)
    assert said(resnet) == OWN
    assert said(resnet, nonnegative=True) == said(resnet, nonnegative=True, size="any") == zeros((1, 1), (1, 1))
    rounded_up = pool("pool", kernel=4, stride=3, padding=1, rounding="ceil")
    assert said(rounded_up, height=9, nonnegative=True) == zeros((1, 3), (1, 1))


def test_zeros_are_never_harmless_to_a_mean():
    assert said(pool("pool", "average", kernel=3, stride=2, padding=1), nonnegative=True) == OWN


def test_a_mean_with_an_odd_row_has_no_word():
    # Run on PyTorch, Keras repeats the last row and counts it.
    assert said(pool("pool", "average", kernel=3, stride=2, rounding="ceil")) == OWN
    assert said(pool("pool", "average", kernel=3, padding=1)) == SAME


def test_a_map_is_nonnegative_behind_a_relu_until_a_layer_makes_both_signs():
    layers = (conv("conv1", 4), pool("pool1"), ReLU("relu1"), pool("pool2"), pool("pool3"), conv("conv2", 4), ReLU("r"))
    net = Network("net", (3, 9, 9), (Block("block1", layers[:4]), Block("block2", layers[4:])))
    assert reads_nonnegative(net) == {"pool2", "pool3", "conv2"}


def test_joined_maps_are_nonnegative_where_every_path_is():
    net = network("resnet18")
    found = reads_nonnegative(net)
    assert {"pool1", "conv2_1a", "relu2_1b", "conv3_1s"} & found == {"pool1", "conv2_1a", "conv3_1s"}
    inception = reads_nonnegative(network("googlenet"))
    assert {step.layer.name for step in walk(network("googlenet")) if isinstance(step.layer, Pool)} <= inception


def test_only_a_network_without_vectors_takes_images_of_any_size():
    assert plan(network("vgg11")).images == (224, 224, 3)
    assert plan(dense(network("vgg11"))).images == (None, None, 3)
