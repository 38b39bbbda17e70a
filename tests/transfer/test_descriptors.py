"""Descriptors against float64 NumPy, with nothing shared but the weights: Pillow's rescale, loops over places."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.images import photo
from tests.transfer.nets import MEAN, STD, photographs, small_run
from verydeep.backends import numpy_reference
from verydeep.errors import ConfigError, DataError, NumericalError, ResourceError, SpecError
from verydeep.families.resnet import resnet_cifar
from verydeep.families.vgg import vgg
from verydeep.rewrite.cut import cut, resize
from verydeep.rewrite.dense import dense, dense_weights
from verydeep.spec import Block, Network, conv
from verydeep.transfer import room
from verydeep.transfer.aggregation import Aggregation
from verydeep.transfer.dense_taps import dense_form, penultimate
from verydeep.transfer.descriptors import describe

SIZES = [(40, 56), (30, 20), (24, 24), (40, 56)]
SCALES = (16, 19, 24)


def rescaled(path: str, scale: int) -> np.ndarray:
    """The network's input (1, 3, h, w) in float64."""
    image = Image.open(path)
    shorter = min(image.size)
    size = tuple(int(scale * side / shorter) for side in image.size)
    pixels = np.array(image.resize(size, Image.Resampling.BILINEAR), np.float64)
    return ((pixels - MEAN) / STD).transpose(2, 0, 1)[None]


def mean_by_loops(run, inputs: np.ndarray, layer: str) -> np.ndarray:
    network = resize(dense(run.network), inputs.shape[1:])
    weights = dense_weights(run.network, run.weights)
    maps = numpy_reference.run(network, weights, inputs, taps=[layer])[layer]
    _, channels, height, width = maps.shape
    total = np.zeros(channels)
    for row in range(height):
        for column in range(width):
            total += maps[0, :, row, column]
    return total / (height * width)


def reference(run, path: str, layer: str, *, scales, flip: bool, stacked: bool, unit: bool) -> np.ndarray:
    parts = []
    for scale in scales:
        inputs = rescaled(path, scale)
        mean = mean_by_loops(run, inputs, layer)
        parts.append((mean + mean_by_loops(run, inputs[:, :, :, ::-1], layer)) / 2 if flip else mean)
    found = np.concatenate(parts) if stacked else sum(parts) / len(parts)
    return found / np.sqrt((found**2).sum()) if unit else found


@pytest.fixture(scope="module")
def run():
    return small_run()


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return photographs(tmp_path_factory.mktemp("photographs"), SIZES)


@pytest.mark.parametrize(
    ("flip", "combine", "normalize", "engine"),
    [
        (True, "pooled", "l2", "auto"),
        (True, "stacked", "l2", "pytorch"),
        (False, "stacked", "l2", "auto"),
        (True, "pooled", "none", "auto"),
    ],
)
def test_descriptors_are_those_of_explicit_loops(run, paths, flip, combine, normalize, engine):
    how = Aggregation(SCALES, flip=flip, combine=combine, normalize=normalize)
    found = describe(run, paths, layers=("relu4", "fc4", "relu2_1"), aggregation=how, engine=engine, batch=3)
    assert found.images == (0, 1, 2, 3)
    for layer, array in found.arrays.items():
        expected = [
            reference(run, path, layer, scales=SCALES, flip=flip, stacked=combine == "stacked", unit=normalize == "l2")
            for path in paths
        ]
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, expected, rtol=0, atol=1e-5)


def test_each_step_of_the_aggregation_matters_here(run, paths):
    """Otherwise the test above would pass without it."""

    def one(layer="relu4", **changes):
        how = replace(Aggregation(SCALES), **changes)
        return describe(run, paths, layers=(layer,), aggregation=how).arrays[layer]

    usual = one()
    assert np.abs(usual - one(flip=False)).max() > 1e-4
    assert np.abs(usual - one(normalize="none")).max() > 1e-2
    assert np.abs(usual - one(scales=SCALES[:1])).max() > 1e-3
    # the mean of what is behind the ReLU is not the ReLU of the mean
    before = one("fc4", normalize="none")
    assert np.abs(np.maximum(before, 0) - one(normalize="none")).max() > 1e-3
    # the length is that of the whole descriptor, not of each scale
    each = [one(scales=(scale,)) for scale in SCALES]
    assert np.abs(usual - np.mean(each, axis=0)).max() > 1e-3
    stacked = one(combine="stacked")
    np.testing.assert_allclose(np.linalg.norm(stacked, axis=1), 1, atol=1e-6)
    assert np.abs(stacked - np.concatenate(each, axis=1) / np.sqrt(3)).max() > 1e-3


def test_an_image_and_its_mirror_have_the_same_descriptor(run):
    image = photo(16, 20, seed=3)
    how = Aggregation((16,))
    found = describe(run, [image, image[:, ::-1]], aggregation=how).arrays["relu4"]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_at_the_networks_own_size_they_are_the_plain_networks_activations(run):
    image = photo(16, 16, seed=5)
    how = Aggregation((16,), flip=False, normalize="none")
    inputs = ((image.astype(np.float64) - MEAN) / STD).transpose(2, 0, 1)[None]
    plain = numpy_reference.run(run.network, run.weights, inputs, taps=["relu4", "fc3"])
    found = describe(run, [image], layers=("relu4", "fc3"), aggregation=how)
    for layer, array in found.arrays.items():
        np.testing.assert_allclose(array, plain[layer], atol=1e-5)


def test_neither_the_batch_nor_its_parts_change_a_descriptor(run, paths, monkeypatch):
    how = Aggregation(SCALES)
    whole = describe(run, paths, aggregation=how, batch=4).arrays["relu4"]
    np.testing.assert_allclose(describe(run, paths, aggregation=how, batch=1).arrays["relu4"], whole, atol=1e-6)
    monkeypatch.setattr(room, "AT_ONCE", 1)
    np.testing.assert_allclose(describe(run, paths, aggregation=how, batch=4).arrays["relu4"], whole, atol=1e-6)


def test_without_options_it_is_the_last_layer_before_the_classifier_at_the_runs_own_scale(run, paths):
    found = describe(run, paths)
    assert list(found.arrays) == ["relu4"]
    assert found.aggregation == Aggregation((18,))


@pytest.mark.parametrize(
    ("network", "layer"),
    [
        (vgg(((1, 4), (1, 4)), input=(3, 16, 16), classes=5, fc=()), "pool2"),
        (vgg(((1, 4), (1, 4)), input=(3, 16, 16), classes=5, fc=(8, 8), dropout=0), "relu4"),
        (resnet_cifar(8, classes=5), "mean"),
        (cut(vgg(((1, 4), (1, 4)), input=(3, 16, 16), classes=5, fc=(8,)), "fc3"), "pool2"),
    ],
)
def test_the_default_layer_follows_the_head(network, layer):
    assert penultimate(network) == layer


def test_a_network_that_is_all_head_has_no_default_layer():
    with pytest.raises(SpecError, match="Name a layer: --layers"):
        penultimate(Network("one", (3, 8, 8), (Block("only", (conv("conv", 4),)),)))


def test_a_network_that_takes_any_size_is_its_own_dense_form():
    network = dense(small_run().network)
    assert dense_form(network) is network


def test_a_head_without_hidden_layers_is_averaged_too(paths):
    run = small_run(vgg(((1, 4), (1, 4)), input=(3, 16, 16), classes=5, fc=()))
    found = describe(run, paths, aggregation=Aggregation((16, 24), combine="stacked"))
    assert found.arrays["pool2"].shape == (4, 8)
    expected = reference(run, paths[1], "pool2", scales=(16, 24), flip=True, stacked=True, unit=True)
    np.testing.assert_allclose(found.arrays["pool2"][1], expected, atol=1e-5)


def test_maps_that_are_not_pooled_are_the_networks_own(run, paths):
    how = Aggregation((20,), pool="none", flip=False, normalize="none")
    found = describe(run, [paths[0], paths[3]], layers=("relu2_1",), aggregation=how).arrays["relu2_1"]
    network = resize(dense(run.network), (3, 20, 28))
    weights = dense_weights(run.network, run.weights)
    for row, path in enumerate((paths[0], paths[3])):
        expected = numpy_reference.run(network, weights, rescaled(path, 20), taps=["relu2_1"])["relu2_1"]
        np.testing.assert_allclose(found[row], expected[0], atol=1e-5)


def test_maps_of_several_sizes_are_refused(run, paths):
    how = Aggregation((20,), pool="none", flip=False, normalize="none")
    with pytest.raises(DataError, match="of 2 sizes, such as 8x10x10 and 8x10x14") as refused:
        describe(run, paths[:1] + paths[2:3], layers=("relu2_1",), aggregation=how)
    assert refused.value.code == "MAPS-DIFFER"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"scales": ()}, "OPTION-VALUE"),
        ({"scales": (0,)}, "OPTION-VALUE"),
        ({"scales": (32, 32)}, "OPTION-VALUE"),
        ({"scales": (32,), "pool": "none"}, "OPTIONS-DISAGREE"),
        ({"scales": (32, 48), "pool": "none", "flip": False, "normalize": "none"}, "OPTIONS-DISAGREE"),
    ],
)
def test_an_aggregation_that_means_nothing_is_refused(values, code):
    with pytest.raises(ConfigError) as refused:
        Aggregation(**values)
    assert refused.value.code == code


def test_a_descriptor_of_zeros_has_no_length(run):
    silent = replace(run, weights={name: np.zeros_like(array) for name, array in run.weights.items()})
    assert not describe(silent, [photo(16, 16)]).arrays["relu4"].any()


def test_unreadable_files_are_named_and_the_others_described(run, paths, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(Path(paths[0]).read_bytes()[:-40])
    found = describe(run, [paths[0], bad, tmp_path / "none.png", paths[1]], batch=2)
    assert found.images == (0, 3)
    assert set(found.unreadable) == {1, 2}
    assert "bad.png" in found.unreadable[1]
    np.testing.assert_allclose(found.arrays["relu4"], describe(run, paths[:2]).arrays["relu4"], atol=1e-6)


def test_nothing_but_unreadable_files_gives_no_rows(run, tmp_path):
    found = describe(run, [tmp_path / "none.png"])
    assert (found.images, len(found.arrays["relu4"])) == ((), 0)


def test_a_scale_below_the_networks_input_is_refused(run, paths):
    with pytest.raises(ConfigError, match="scale 15 is below the 16 pixels that vgg_dense reads") as refused:
        describe(run, paths, aggregation=Aggregation((16, 15)))
    assert refused.value.code == "SCALE-SMALL"


def test_a_scale_for_which_there_is_no_memory_is_refused_before_anything_is_decoded(run, paths, monkeypatch):
    monkeypatch.setattr(room, "memory_bytes", lambda: 10**9)
    monkeypatch.setattr("verydeep.transfer.descriptors.decode", lambda *_, **__: pytest.fail("computed"))
    with pytest.raises(
        ResourceError, match=r"scale 4000 needs about 1\.\d GB for an image of 6000x4000 .* has 1\.0 GB"
    ):
        describe(run, paths, aggregation=Aggregation((16, 4000, 5000)))


def test_a_very_long_image_takes_no_more_than_it_will_be_cut_to(run, tmp_path, monkeypatch):
    (long,) = photographs(tmp_path, [(2, 4000)])
    needs = room.bytes_of_one(dense_form(run.network), (16, 320))
    monkeypatch.setattr(room, "memory_bytes", lambda: needs)
    assert describe(run, [long], aggregation=Aggregation((16,))).images == (0,)
    monkeypatch.setattr(room, "memory_bytes", lambda: needs - 1)
    with pytest.raises(ResourceError):
        describe(run, [long], aggregation=Aggregation((16,)))


def test_unknown_layers_and_no_batch_are_refused(run, paths):
    with pytest.raises(ConfigError, match="no layer 'fc9'"):
        describe(run, paths, layers=("fc9",))
    with pytest.raises(ConfigError, match="batch must be 1 or more"):
        describe(run, paths, batch=0)


def test_values_that_are_not_finite_are_refused_and_the_image_named(run, paths):
    weights = {name: array.copy() for name, array in run.weights.items()}
    weights["fc4.bias"][3] = np.nan
    with pytest.raises(NumericalError, match=r"4 of 4 images, first .*0\.png"):
        describe(replace(run, weights=weights), paths, layers=("fc4",))
