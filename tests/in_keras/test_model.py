"""A network built for Keras is an ordinary functional model that computes what the description says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.in_keras import process
from verydeep.backends import keras3, numpy_reference, pytorch
from verydeep.backends.check import narrow, sample_weights
from verydeep.errors import ConfigError, WeightsError
from verydeep.families.catalog import CATALOG, network
from verydeep.rewrite.cut import resize
from verydeep.rewrite.dense import dense, dense_weights
from verydeep.spec import (
    BatchNorm,
    Block,
    Conv,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Network,
    Pool,
    ReLU,
    Shape,
    conv,
    pool,
    walk,
    weights,
)
from verydeep.weights.initial import initial

Array = npt.NDArray[Any]

SILENT: Any = 0  # Keras's own type for it is str

THIN = network("A", input=(3, 32, 32), classes=10, width=0.125, fc=(24, 20))


def chain(*layers: Layer, input: Shape = (3, 8, 8)) -> Network:
    return Network("net", input, (Block("block1", layers),))


def thin_model() -> keras.Model:
    return keras3.build(THIN, sample_weights(THIN))


def images(net: Network, *, count: int = 2, seed: int = 0) -> Array:
    """(n, c, h, w)."""
    return np.random.default_rng(seed).standard_normal((count, *net.input)).astype(np.float32)


def nhwc(x: Array) -> Array:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def last(net: Network) -> str:
    return walk(net)[-1].layer.name


# What is built


def test_layers_have_the_descriptions_names_and_are_keras_own():
    model = thin_model()
    helpers = {"images", "flatten_channels_first"}
    assert [layer.name for layer in model.layers if layer.name not in helpers] == [s.layer.name for s in walk(THIN)]
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    assert isinstance(model.get_layer("conv1_1"), keras.layers.Conv2D)
    assert isinstance(model.get_layer("fc8"), keras.layers.Dense)
    assert model.network == THIN


def test_the_summary_shows_maps_with_channels_last():
    lines: list[str] = []
    thin_model().summary(print_fn=lines.append, line_length=100)
    text = "\n".join(lines)
    assert "conv2_1 (Conv2D)" in text and "(None, 16, 16, 16)" in text
    assert f"{sum(int(np.prod(weight.shape)) for weight in weights(THIN).values()):,}" in text


def test_a_users_default_layout_changes_nothing():
    keras.config.set_image_data_format("channels_first")
    try:
        model = thin_model()
    finally:
        keras.config.set_image_data_format("channels_last")
    x = images(THIN)
    found = keras3.run(model, x, mode="eval", taps=("fc8",))["fc8"]
    np.testing.assert_allclose(found, keras3.run(thin_model(), x, mode="eval", taps=("fc8",))["fc8"], atol=1e-6)


def test_helper_layers_make_way_for_names_of_the_description():
    body = (conv("conv", 4, kernel=3, stride=2, padding=1), ReLU("conv_pad"), ReLU("images"), ReLU("images_"))
    net = chain(*body, Flatten("flatten"), ReLU("flatten_channels_first"))
    names = [layer.name for layer in keras3.build(net, sample_weights(net)).layers]
    assert {"images__", "conv_pad_", "flatten_channels_first_"} == set(names) - {step.layer.name for step in walk(net)}


def test_a_name_that_keras_cannot_take_is_refused():
    with pytest.raises(ConfigError) as caught:
        keras3.build(chain(ReLU("größe")), {})
    assert caught.value.code == "NAME-RESERVED"
    assert str(caught.value) == (
        "net: Keras cannot name a layer 'größe' on TensorFlow, which takes only ASCII. Rename the layer."
    )


@pytest.mark.parametrize("name", ["call", "layers", "class", "_hidden", "self"])
def test_names_of_python_and_keras_do_no_harm(name: str):
    net = chain(conv(name, 4))
    assert keras3.run(keras3.build(net, sample_weights(net)), images(net), mode="eval", taps=(name,))[name].any()


@pytest.mark.parametrize(("name", "found"), [("A-LRN", "A-LRN"), ("_mine/own net", "mine_own_net"), ("", "network")])
def test_the_model_has_the_networks_name_as_far_as_tensorflow_takes_it(name: str, found: str):
    net = Network(name, (3, 4, 4), (Block("block", (ReLU("relu"),)),))
    model = keras3.build(net, {})
    assert model.name == found
    assert model.predict(nhwc(images(net)), verbose=SILENT).shape == (2, 4, 4, 3)


# What is computed


def pairs(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


@settings(max_examples=80, deadline=None)
@given(
    size=pairs(1, 9),
    kernel=pairs(1, 4),
    stride=pairs(1, 4),
    padding=st.tuples(pairs(0, 3), pairs(0, 3)),
    pooling=st.sampled_from(["max", "average"]),
    rounding=st.sampled_from(["floor", "ceil"]),
    before=st.sampled_from(["images", "relu"]),
    after=st.sampled_from(["map", "vector"]),
)
def test_every_pool_that_can_be_said_is_the_references(size, kernel, stride, padding, pooling, rounding, before, after):
    assume(all(max(sides) < k for sides, k in zip(padding, kernel, strict=True)))
    assume(all(n + sum(sides) >= k for n, sides, k in zip(size, padding, kernel, strict=True)))
    layers: list[Layer] = [ReLU("relu")] if before == "relu" else []
    layers.append(Pool("pool", pooling, kernel, stride, padding, rounding))
    if after == "vector":  # then the size of the images is known
        layers.append(Flatten("flatten"))
    net = chain(*layers, input=(2, *size))
    model, x = keras3.build(net, {}), images(net)
    expected = numpy_reference.run(net, {}, x)["output"]
    found = keras3.run(model, x, mode="eval", taps=[last(net)])[last(net)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    exported = np.asarray(keras.ops.convert_to_numpy(keras3.for_export(model)(nhwc(x))))
    np.testing.assert_allclose(exported if after == "vector" else exported.transpose(0, 3, 1, 2), expected, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    kernel=pairs(1, 3),
    stride=pairs(1, 3),
    padding=st.tuples(pairs(0, 3), pairs(0, 3)),
    dilation=pairs(1, 2),
    groups=st.sampled_from([1, 2]),
    bias=st.booleans(),
)
def test_every_convolution_that_can_be_said_is_the_references(kernel, stride, padding, dilation, groups, bias):
    net = chain(Conv("conv", 4, kernel, stride, padding, dilation, groups, bias), input=(2, 7, 6))
    arrays, x = sample_weights(net), images(net)
    found = keras3.run(keras3.build(net, arrays), x, mode="eval", taps=("conv",))["conv"]
    np.testing.assert_allclose(found, numpy_reference.run(net, arrays, x)["output"], atol=1e-5)


def test_flatten_is_channel_major():
    net = chain(conv("conv", 4, kernel=3), Flatten("flatten"))
    taps = keras3.run(keras3.build(net, sample_weights(net)), images(net), mode="eval", taps=("conv", "flatten"))
    assert np.array_equal(taps["flatten"], taps["conv"].reshape(2, -1))


@pytest.mark.parametrize("name", ["vgg11", "resnet18", "googlenet"])
def test_the_dense_form_takes_images_of_any_size(name: str):
    net = narrow(name, CATALOG[name])
    arrays, form = dense_weights(net, sample_weights(net)), dense(net)
    model, twin = keras3.build(form, arrays), pytorch.build(form, arrays).eval()
    assert model.input_shape == (None, None, None, net.input[0])
    for more in (0, 33):
        x = images(resize(form, (net.input[0], net.input[1] + more, net.input[2] + 2 * more)))
        found = keras3.run(model, x, mode="eval", taps=[last(form)])[last(form)]
        with torch.inference_mode():
            expected = twin(torch.from_numpy(x)).numpy()
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
        assert model.predict(nhwc(x), verbose=SILENT).shape == (2, *expected.shape[2:], expected.shape[1])


def test_a_network_with_a_vector_is_of_one_size():
    assert thin_model().input_shape == (None, 32, 32, 3)
    with pytest.raises(ValueError, match="expected shape"):
        thin_model()(np.zeros((1, 40, 40, 3), np.float32))


# Taps


def test_a_layers_output_makes_a_model_of_features():
    model, x = thin_model(), images(THIN)
    features = keras.Model(model.input, model.get_layer("relu3_2").output)
    found = features.predict(nhwc(x), verbose=SILENT).transpose(0, 3, 1, 2)
    expected = numpy_reference.run(THIN, sample_weights(THIN), x, taps=("relu3_2",))["relu3_2"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(keras3.run(model, x, mode="eval", taps=("relu3_2",))["relu3_2"], expected, atol=1e-5)


def test_taps_come_in_the_order_asked_for_and_twice_is_once():
    taps = keras3.run(thin_model(), images(THIN), mode="eval", taps=("fc7", "relu1_1", "fc7"))
    assert {name: array.shape for name, array in taps.items()} == {"fc7": (2, 20), "relu1_1": (2, 8, 32, 32)}
    assert list(taps) == ["fc7", "relu1_1"]
    assert keras3.run(thin_model(), images(THIN), mode="eval", taps=()) == {}


def test_nothing_deeper_than_the_deepest_tap_is_computed(monkeypatch: pytest.MonkeyPatch):
    model = thin_model()
    monkeypatch.setattr(keras.layers.MaxPooling2D, "call", lambda self, x: pytest.fail(f"{self.name} was computed"))
    keras3.run(model, images(THIN), mode="eval", taps=("relu1_1", "conv1_1"))


def test_an_unknown_layer_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError) as caught:
        keras3.run(thin_model(), images(THIN), mode="eval", taps=("conv1_2",))
    assert caught.value.code == "LAYER-UNKNOWN"
    assert str(caught.value).startswith("vgg11 has no layer 'conv1_2'. Its layers: conv1_1, relu1_1, pool1, ")


# Training


def test_dropout_drops_in_training_alone_and_keeps_the_expectation():
    net = chain(Dropout("drop", rate=0.3), input=(1, 100, 100))
    keras.utils.set_random_seed(0)
    model, ones = keras3.build(net, {}), np.ones((4, 1, 100, 100), np.float32)
    dropped = keras3.run(model, ones, mode="train", taps=("drop",))["drop"]
    assert (dropped == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert dropped.mean() == pytest.approx(1.0, abs=0.02)
    assert np.array_equal(keras3.run(model, ones, mode="eval", taps=("drop",))["drop"], ones)


@pytest.mark.parametrize("flat", [False, True], ids=["maps", "vectors"])
def test_running_statistics_follow_the_formula(flat: bool):
    layers = (*((Flatten("flatten"),) if flat else ()), BatchNorm("norm", epsilon=1e-3, momentum=0.3))
    net = chain(*layers, input=(3, 1, 1) if flat else (3, 4, 5))
    model = keras3.build(net, initial(net))
    mean, variance = np.zeros(3), np.ones(3)
    for seed in range(3):
        x = images(net, count=6, seed=seed) * 3 + 1
        keras3.run(model, x, mode="train", taps=("norm",))
        batch = x.astype(np.float64).transpose(1, 0, 2, 3).reshape(3, -1)
        mean = 0.7 * mean + 0.3 * batch.mean(1)
        variance = 0.7 * variance + 0.3 * batch.var(1, ddof=1)  # unbiased
    found = keras3.get_weights(model)
    np.testing.assert_allclose(found["norm.running_mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(found["norm.running_var"], variance, rtol=1e-5)


def test_a_single_number_has_a_running_variance():
    net = chain(BatchNorm("norm", momentum=0.3), input=(3, 1, 1))
    model = keras3.build(net, initial(net))
    keras3.run(model, images(net, count=1), mode="train", taps=("norm",))
    np.testing.assert_allclose(keras3.get_weights(model)["norm.running_var"], 0.7, rtol=1e-6)


def test_fit_follows_the_same_formula_and_evaluation_changes_nothing():
    net = chain(BatchNorm("norm", momentum=0.3), pool("pool", "average", kernel=None), Flatten("flatten"))
    model = keras3.build(net, initial(net))
    x, targets = nhwc(images(net, count=6) * 3 + 1), np.zeros((6, 3))
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    model.evaluate(x, targets, verbose=SILENT)
    assert keras3.get_weights(model)["norm.running_var"].tolist() == [1, 1, 1]
    model.fit(x, targets, batch_size=6, verbose=SILENT)
    found = keras3.get_weights(model)["norm.running_var"]
    np.testing.assert_allclose(found, 0.7 + 0.3 * x.astype(np.float64).var((0, 1, 2), ddof=1), rtol=1e-5)


@pytest.mark.parametrize("name", ["vgg11_lrn_bn", "alexnet_2012", "nin", "resnet20_cifar"])
def test_fit_lowers_the_loss_and_changes_every_weight(name: str):
    net = narrow(name, CATALOG[name])
    before = initial(net)
    model = keras3.build(net, before)
    x, labels = nhwc(images(net, count=4)), np.arange(4)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss=loss)
    losses = model.fit(x, labels, batch_size=4, epochs=3, verbose=SILENT).history["loss"]
    assert losses[-1] < losses[0]
    after = keras3.get_weights(model)
    assert [name for name in before if np.array_equal(before[name], after[name])] == []


# Weights


def test_weights_come_out_as_they_went_in():
    arrays = sample_weights(THIN)
    found = keras3.get_weights(thin_model())
    assert list(found) == list(weights(THIN))
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
    assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in found.values())


def test_weights_are_copies_in_both_directions():
    arrays = sample_weights(THIN)
    model = keras3.build(THIN, arrays)
    first = arrays["conv1_1.weight"].copy()
    arrays["conv1_1.weight"][:] = 7
    out = keras3.get_weights(model)
    assert np.array_equal(out["conv1_1.weight"], first)
    out["conv1_1.weight"][:] = 8
    assert np.array_equal(keras3.get_weights(model)["conv1_1.weight"], first)


def test_weights_may_be_tensors_or_read_only_or_of_another_precision():
    arrays = sample_weights(THIN)
    frozen = {name: array.copy() for name, array in arrays.items()}
    for array in frozen.values():
        array.setflags(write=False)
    others: tuple[dict[str, Any], ...] = (
        frozen,
        {name: torch.from_numpy(array) for name, array in arrays.items()},
        {name: array.astype(np.float64) for name, array in arrays.items()},
        {name: np.asfortranarray(array) for name, array in arrays.items()},
    )
    for other in others:
        found = keras3.get_weights(keras3.build(THIN, other))
        assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def damaged(arrays: dict[str, Array]) -> Iterator[tuple[dict[str, Array], str]]:
    yield {name: array for name, array in arrays.items() if name != "fc8.bias"}, "missing: fc8.bias"
    yield {**arrays, "fc9.bias": np.zeros(3)}, "unknown: fc9.bias"
    yield {**arrays, "fc8.bias": np.zeros(3)}, "shapes: fc8.bias is (3,), not (10,)"


def test_weights_that_do_not_fit_are_refused_and_nothing_is_loaded():
    model = thin_model()
    before = keras3.get_weights(model)
    for arrays, words in damaged({name: np.full_like(array, 9) for name, array in before.items()}):
        with pytest.raises(WeightsError) as caught:
            keras3.set_weights(model, arrays)
        assert caught.value.code == "WEIGHTS-MISMATCH"
        assert caught.value.message == f"these weights are not those of vgg11: {words}"
        with pytest.raises(WeightsError):
            keras3.build(THIN, arrays)
    after = keras3.get_weights(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("use", [keras3.get_weights, keras3.network_of, keras3.for_export])
def test_a_model_that_was_not_built_here_is_refused(use: Any):
    model = thin_model()
    for foreign in (keras.Sequential([keras.layers.ReLU()]), keras.Model(model.input, model.get_layer("fc7").output)):
        with pytest.raises(ConfigError) as caught:
            use(foreign)
        assert caught.value.code == "MODEL-FOREIGN"
        assert str(caught.value) == (
            f"this {type(foreign).__name__} was not built from a network's description. Build one with verydeep.build."
        )


# Files


def own_layers(model: keras.Model) -> set[str]:
    """The classes of this package in a model."""
    kinds = {type(layer) for layer in model._flatten_layers()}
    return {kind.__name__ for kind in kinds if kind.__module__.startswith("verydeep.")}


@pytest.mark.parametrize("name", ["vgg11_lrn_bn", "nin"])
def test_a_saved_model_is_the_same_model(name: str, tmp_path: Path):
    net = narrow(name, CATALOG[name])
    model, x = keras3.build(net, sample_weights(net)), nhwc(images(net))
    model.save(tmp_path / "model.keras")
    loaded: Any = keras.saving.load_model(tmp_path / "model.keras")
    assert own_layers(loaded) == own_layers(model) != set()
    assert np.array_equal(loaded.predict(x, verbose=SILENT), model.predict(x, verbose=SILENT))


LOAD = """
import sys
import keras
import numpy as np
for path in sys.argv[1:]:
    with np.load(path + ".npz") as arrays:
        images, logits = arrays["images"], arrays["logits"]
    found = np.asarray(keras.ops.convert_to_numpy(keras.saving.load_model(path + ".keras")(images)))
    assert np.abs(found - logits).max() <= 1e-5 * np.abs(logits).max(), path
assert not any(name.startswith("verydeep") for name in sys.modules)
print(keras.backend.backend(), len(sys.argv[1:]))
"""


def test_an_exported_model_loads_without_verydeep_and_on_another_engine(tmp_path: Path):
    names = ("vgg11_bn", "vgg11_lrn", "vgg16", "alexnet_2012", "googlenet", "googlenet_bn", "resnet18", "nin", "lenet5")
    for name in (*names, "resnet20_cifar"):
        net = narrow(name, CATALOG[name])
        model = keras3.build(net, sample_weights(net))
        x = images(net)
        exported = keras3.for_export(model)
        assert own_layers(exported) == set()
        exported.save(tmp_path / f"{name}.keras")
        logits = keras3.run(model, x, mode="eval", taps=[last(net)])[last(net)]
        np.savez(tmp_path / f"{name}.npz", images=nhwc(x), logits=logits)
    other = "tensorflow" if keras.backend.backend() == "torch" else "torch"
    printed = process.run("-c", LOAD, *(tmp_path / name for name in (*names, "resnet20_cifar")), engine=other)
    assert printed.split() == [other, str(len(names) + 1)]


SIBLINGS = ("vgg1", "vgg_", "resnet1", "resnet3", "resnet4", "resnet5")  # only deeper than what is below


def test_no_network_of_the_catalogue_needs_a_class_of_ours_to_be_exported():
    for name in CATALOG:
        if not name.startswith(SIBLINGS):
            net = narrow(name, CATALOG[name])
            assert own_layers(keras3.for_export(keras3.build(net, initial(net)))) == set()


def test_an_exported_model_has_the_layers_names_and_weights_of_its_own():
    net = narrow("vgg11_lrn_bn", CATALOG["vgg11_lrn_bn"])
    model = keras3.build(net, sample_weights(net))
    exported = keras3.for_export(model)
    assert [layer.name for layer in exported.layers] == [layer.name for layer in model.layers]
    kernel = exported.get_layer("conv1_1").kernel
    before = np.asarray(keras.ops.convert_to_numpy(kernel.value))
    model.get_layer("conv1_1").kernel.assign(keras.ops.zeros_like(kernel))
    assert np.array_equal(np.asarray(keras.ops.convert_to_numpy(kernel.value)), before) and before.any()


def test_what_keras_has_no_layer_for_keeps_ours():
    uneven = Pool("pool", "max", (3, 3), (2, 2), ((1, 1), (1, 1)))
    nets = {
        "PaddedPooling2D": chain(uneven, Flatten("flatten"), Linear("fc", 3)),
        "SampledConv2D": chain(Conv("conv", 4, (3, 3), stride=(2, 2), dilation=(2, 2))),
    }
    for kind, net in nets.items():
        assert own_layers(keras3.for_export(keras3.build(net, initial(net)))) == {kind}
    googlenet = dense(narrow("googlenet", CATALOG["googlenet"]))
    assert own_layers(keras3.for_export(keras3.build(googlenet, initial(googlenet)))) == {"PaddedPooling2D"}
