"""The generated Keras source makes the network that is built: the same layers, and with its weights the same logits."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest

from verydeep.backends import keras3
from verydeep.backends.check import narrow, sample_weights, samples
from verydeep.families.catalog import CATALOG, network
from verydeep.report.source.frameworks import code
from verydeep.rewrite.dense import dense
from verydeep.spec import Block, Dropout, Network, ReLU, conv, pool

Array = npt.NDArray[Any]


def generated(described: Network, function: str | None = None) -> keras.Model:
    names: dict[str, Any] = {"__name__": "generated"}
    exec(compile(code(described, framework="keras"), "generated.py", "exec"), names)
    return names[function or described.name]()


def with_weights_of(built: keras.Model, model: keras.Model) -> keras.Model:
    """The generated model with copies of the built one's arrays, layer by layer."""
    assert [layer.name for layer in model.layers] == [layer.name for layer in built.layers]
    for layer in built.layers:
        model.get_layer(layer.name).set_weights(layer.get_weights())
    return model


def images(described: Network, *, more: int = 0) -> Array:
    channels, height, width = described.input
    shape = (2, height + more, width + more, channels)
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def close(found: Any, expected: Any) -> bool:
    found, expected = (np.asarray(keras.ops.convert_to_numpy(x)) for x in (found, expected))
    return found.shape == expected.shape and bool(np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("described", list(samples()), ids=lambda described: described.name)
def test_the_built_networks_weights_give_its_logits(described: Network):
    built = keras3.build(described, sample_weights(described))
    model = with_weights_of(built, generated(described))
    assert close(model(images(described)), built(images(described)))


@pytest.mark.parametrize("name", ["vgg11_lrn_bn", "resnet20_cifar"])
def test_in_train_mode_the_logits_are_the_same_too(name: str):
    described = narrow(name, CATALOG[name])
    built = keras3.build(described, sample_weights(described))
    model = with_weights_of(built, generated(described))
    assert close(model(images(described), training=True), built(images(described), training=True))


def test_the_dense_form_and_pools_that_round_up_read_maps_of_any_size():
    ceil = Network(
        "ceil", (2, 6, 6), (Block("block1", (pool("pool1", "average", kernel=3, stride=2, rounding="ceil"),)),)
    )
    for described in (ceil, *(dense(narrow(name, CATALOG[name])) for name in ("vgg11", "nin", "resnet18"))):
        built = keras3.build(described, sample_weights(described))
        model = with_weights_of(built, generated(described))
        for more in (0, 33):
            assert close(model(images(described, more=more)), built(images(described, more=more)))


def test_dropout_has_its_rate():
    described = Network("noise", (1, 100, 100), (Block("block1", (Dropout("drop", 0.25),)),))
    dropped = keras.ops.convert_to_numpy(generated(described)(np.ones((2, 100, 100, 1), np.float32), training=True))
    assert (np.asarray(dropped) == 0).mean() == pytest.approx(0.25, abs=0.02)


def test_a_generated_model_trains():
    described = narrow("alexnet_2012", CATALOG["alexnet_2012"])
    model = generated(described)
    model.compile(optimizer="sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    silent: Any = 0
    history = model.fit(images(described), np.arange(2), epochs=2, verbose=silent).history
    assert all(np.isfinite(history["loss"]))


@pytest.mark.parametrize(
    ("name", "function"), [("class", "class_"), ("layers", "layers_"), ("x", "x"), ("padding", "padding_")]
)
def test_any_name_becomes_a_function(name: str, function: str):
    assert isinstance(generated(replace(network("lenet5"), name=name), function), keras.Model)


def test_layers_may_be_called_by_words_that_python_reserves():
    layers = (conv("lambda", 2, kernel=3, stride=2, padding=1), ReLU("lambda_pad"), ReLU("images"))
    model = generated(Network("words", (1, 4, 4), (Block("class", layers),)))
    assert [layer.name for layer in model.layers] == ["images_", "lambda_pad_", "lambda", "lambda_pad", "images"]
