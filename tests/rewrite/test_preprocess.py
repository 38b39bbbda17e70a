"""Preprocessing folded into the network: the same answers from pixels as they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import verydeep as vd
from verydeep.backends import numpy_reference
from verydeep.backends.check import narrow, sample_weights
from verydeep.backends.pytorch import build
from verydeep.data.decode import decode
from verydeep.data.preprocess import apply
from verydeep.errors import ConfigError, SpecError, WeightsError
from verydeep.families.catalog import CATALOG
from verydeep.preprocessing import Preprocessing
from verydeep.rewrite.preprocess import FRONT, fold_preprocessing
from verydeep.spec import BatchNorm, Block, Conv, Flatten, Linear, Network, Parallel, ReLU, conv
from verydeep.weights.torchvision import names

CAFFE = {"color": "BGR", "mean": (103.939, 116.779, 123.68), "std": (1.0, 1.0, 1.0)}
TORCHVISION = {"color": "RGB", "mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
UNUSUAL = {"color": "BGR", "mean": (90.0, 120.0, 150.0), "std": (40.0, 60.0, 90.0)}
GREY = {"color": "grey", "mean": (33.3,), "std": (78.6,)}


def record(network, **parts):
    channels, *size = network.input
    given = parts or (UNUSUAL if channels == 3 else GREY)
    return Preprocessing(channels=channels, size=tuple(size), resize=None, crop="center", **given)


def photographs(shared_data, preprocessing, count=2):
    """Real images as a network with this record takes them, float32 (n, c, h, w)."""
    files = sorted((shared_data / "photos-100").rglob("*.JPEG"))[:count]
    assert len(files) == count
    return torch.stack([apply(decode(file, channels=preprocessing.channels), preprocessing) for file in files])


def error(found, expected):
    return float(abs(found - expected).max() / abs(expected).max())


def reference(network, arrays, preprocessing, shared_data):
    """The logits in float64, from the images and the record to the end."""
    wide = {name: array.astype(np.float64) for name, array in arrays.items()}
    neutral = replace(preprocessing, mean=(0.0,) * len(preprocessing.mean), std=(1.0,) * len(preprocessing.std))
    pixels = photographs(shared_data, neutral).double().numpy()
    mean, deviation = (np.array(one)[:, None, None] for one in (preprocessing.mean, preprocessing.std))
    return numpy_reference.run(network, wide, (pixels - mean) / deviation)["output"]


def small(*layers, channels=3):
    """The layers on small pictures, and a head that every number reaches."""
    head = Block("head", (Flatten("flatten"), Linear("fc", 5)))
    return Network("small", (channels, 12, 10), (Block("body", layers), head))


@pytest.mark.parametrize("mean", ["fold", "keep"])
@pytest.mark.parametrize("name", CATALOG)
def test_a_folded_network_gives_the_same_logits(name, mean, shared_data):
    network = narrow(name, CATALOG[name])
    arrays, preprocessing = sample_weights(network), record(network)
    folded, folded_arrays, rest = fold_preprocessing(network, arrays, preprocessing=preprocessing, mean=mean)
    with torch.no_grad():
        before = build(network, arrays).eval()(photographs(shared_data, preprocessing))
        after = build(folded, folded_arrays).eval()(photographs(shared_data, rest))
    assert error(after, before) <= 1e-5


@pytest.mark.parametrize("parts", [CAFFE, TORCHVISION, UNUSUAL], ids=["caffe", "torchvision", "unusual"])
@pytest.mark.parametrize("mean", ["fold", "keep"])
@pytest.mark.parametrize("name", ["vgg11", "alexnet_2012", "resnet18"])
def test_the_fold_is_exact_in_float64(name, mean, parts, shared_data):
    network = narrow(name, CATALOG[name])
    arrays, preprocessing = sample_weights(network), record(network, **parts)
    wide = {name: array.astype(np.float64) for name, array in arrays.items()}
    folded = fold_preprocessing(network, wide, preprocessing=preprocessing, mean=mean)
    expected = reference(network, arrays, preprocessing, shared_data)
    assert error(reference(folded[0], folded[1], folded[2], shared_data), expected) <= 1e-12


FIRST_LAYERS = {
    "unpadded": (conv("first", 4), ReLU("relu")),
    "unpadded_without_bias": (conv("first", 4, bias=False), BatchNorm("norm")),
    "padded": (conv("first", 4, padding=1), ReLU("relu")),
    "padded_on_one_side": (Conv("first", 4, (3, 2), padding=((0, 1), (0, 0))), ReLU("relu")),
    "grouped": (conv("first", 6, groups=3), ReLU("relu")),
    "no_convolution": (BatchNorm("first"), conv("second", 4)),
    "paths": (Parallel("first", ((conv("left", 2, padding=1),), (conv("right", 2, kernel=1),)), "concat"),),
}


@given(
    layers=st.sampled_from(list(FIRST_LAYERS.values())),
    color=st.sampled_from(["RGB", "BGR"]),
    mean=st.tuples(*[st.floats(-300, 300)] * 3),
    std=st.tuples(*[st.floats(0.01, 300)] * 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_whatever_the_record_and_the_first_layer_the_answers_are_equal(layers, color, mean, std, seed):
    network = small(*layers)
    arrays = {name: array.astype(np.float64) for name, array in sample_weights(network).items()}
    preprocessing = record(network, color=color, mean=mean, std=std)
    pixels = np.random.default_rng(seed).integers(0, 256, (2, *network.input)).astype(np.float64)
    folded, folded_arrays, rest = fold_preprocessing(network, arrays, preprocessing=preprocessing)
    assert (rest.color, rest.mean, rest.std) == ("RGB", (0, 0, 0), (1, 1, 1))
    ordered = pixels[:, ::-1] if color == "BGR" else pixels
    images = (ordered - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]
    before = numpy_reference.run(network, arrays, images)["output"]
    after = numpy_reference.run(folded, folded_arrays, pixels)["output"]
    # Where the deviation is tiny, digits cancel between the pixel and the mean.
    assert np.abs(after - before).max() <= 1e-9 * max(1.0, np.abs(images).max())


def test_a_padded_first_convolution_gets_a_layer_in_front_and_keeps_its_bias():
    network = vd.network("A", width=1 / 16, fc=(8, 8))
    arrays = sample_weights(network)
    folded, folded_arrays, rest = fold_preprocessing(network, arrays, preprocessing=record(network))
    assert folded.name == "vgg11_pixels"
    assert folded.blocks == (Block(FRONT, (Conv(FRONT, 3, (1, 1), groups=3),)), *network.blocks)
    assert np.array_equal(folded_arrays["conv1_1.bias"], arrays["conv1_1.bias"])
    assert folded_arrays["normalize.bias"].tolist() == [-150, -120, -90]
    assert (rest.size, rest.resize, rest.crop) == ((224, 224), None, "center")
    assert all(array.dtype == np.float32 for array in folded_arrays.values())


def test_the_mean_in_the_bias_of_a_padded_convolution_would_be_wrong(shared_data):
    network = vd.network("A", width=1 / 16, fc=(8, 8))
    arrays, preprocessing = sample_weights(network), record(network, **TORCHVISION)
    _, kept, rest = fold_preprocessing(network, arrays, preprocessing=preprocessing, mean="keep")
    shift = np.einsum("ocij,c->o", kept["conv1_1.weight"], np.array(rest.mean))
    wrong = {**kept, "conv1_1.bias": (kept["conv1_1.bias"] - shift).astype(np.float32)}
    raw = photographs(shared_data, replace(rest, mean=(0.0, 0.0, 0.0)))
    right = vd.features(build(network, arrays).eval(), photographs(shared_data, preprocessing), "conv1_1")["conv1_1"]
    found = vd.features(build(network, wrong).eval(), raw, "conv1_1")["conv1_1"]
    assert error(found[:, :, 1:-1, 1:-1], right[:, :, 1:-1, 1:-1]) <= 1e-5
    assert error(found, right) > 0.3


def test_an_unpadded_convolution_takes_the_mean_into_its_bias():
    network = small(conv("first", 4, bias=False), ReLU("relu"))
    folded, folded_arrays, _ = fold_preprocessing(network, sample_weights(network), preprocessing=record(network))
    first = folded.blocks[0].layers[0]
    assert first == conv("first", 4, bias=True)
    assert list(folded_arrays) == ["first.weight", "first.bias", "fc.weight", "fc.bias"]


def test_keeping_the_mean_keeps_the_architecture_and_gives_the_preprocessing_of_the_paper():
    network = vd.network("D", width=1 / 16, fc=(8, 8))
    preprocessing = record(network, color="BGR", mean=(103.5, 116.3, 123.7), std=(57.4, 57.1, 58.4))
    folded, folded_arrays, rest = fold_preprocessing(
        network, sample_weights(network), preprocessing=preprocessing, mean="keep"
    )
    assert folded == network
    assert list(folded_arrays) == list(names(network))
    assert rest == replace(preprocessing, color="RGB", mean=(123.7, 116.3, 103.5), std=(1.0, 1.0, 1.0))


@pytest.mark.parametrize("mean", ["fold", "keep"])
@pytest.mark.parametrize("layers", FIRST_LAYERS.values(), ids=FIRST_LAYERS)
def test_what_is_folded_already_comes_back_as_it_is(layers, mean):
    network = small(*layers)
    arrays, nothing = sample_weights(network), record(network, color="RGB", mean=(0.0,) * 3, std=(1.0,) * 3)
    folded, folded_arrays, rest = fold_preprocessing(network, arrays, preprocessing=nothing, mean=mean)
    assert (folded, rest) == (network, nothing)
    assert all(np.array_equal(folded_arrays[name], array) for name, array in arrays.items())


def test_the_weights_that_were_given_are_not_changed():
    network = small(conv("first", 4))
    arrays = sample_weights(network)
    before = {name: array.copy() for name, array in arrays.items()}
    fold_preprocessing(network, arrays, preprocessing=record(network))
    assert all(np.array_equal(arrays[name], before[name]) for name in before)


def test_a_record_for_other_channels_is_refused():
    network = small(conv("first", 4))
    with pytest.raises(ConfigError, match="small takes images of 3 channels, its preprocessing gives 1"):
        fold_preprocessing(network, sample_weights(network), preprocessing=record(small(conv("a", 4), channels=1)))


def test_deviations_that_fold_into_no_convolution_are_refused_where_no_layer_may_be_added():
    network = small(*FIRST_LAYERS["no_convolution"])
    with pytest.raises(SpecError, match="small begins with first, no convolution"):
        fold_preprocessing(network, sample_weights(network), preprocessing=record(network), mean="keep")


def test_an_unknown_way_and_weights_of_another_network_are_refused():
    network = small(conv("first", 4))
    arrays = sample_weights(network)
    with pytest.raises(ConfigError, match="mean is 'layer'"):
        fold_preprocessing(network, arrays, preprocessing=record(network), mean="layer")
    with pytest.raises(WeightsError, match=r"missing: fc\.bias"):
        fold_preprocessing(network, {name: arrays[name] for name in list(arrays)[:-1]}, preprocessing=record(network))
