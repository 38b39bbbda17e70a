"""What the MXNet backend builds is an ordinary Gluon model, by the description's names."""

from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon
from mxnet.gluon import nn

from verydeep.backends import mxnet_gluon, numpy_reference
from verydeep.backends.check import narrow, sample_weights
from verydeep.errors import ConfigError, WeightsError
from verydeep.families.catalog import CATALOG, network
from verydeep.families.vgg import vgg
from verydeep.rewrite.dense import dense, dense_weights
from verydeep.spec import Block, Conv, Dropout, Network, Pool, ReLU, conv
from verydeep.weights import nested

THIN = vgg(((1, 4), (2, 8)), input=(1, 12, 12), classes=3, fc=(16,), batch_norm=True)
KINDS = ("lenet5", "vgg11_lrn_bn", "googlenet_bn", "resnet20_cifar", "resnet18", "nin")


def built(net: Network) -> nn.HybridSequential:
    return mxnet_gluon.build(net, sample_weights(net))


def images_for(net: Network, count: int = 3) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((count, *net.input)).astype(np.float32)


def one(layer: Conv | Pool | Dropout, *, channels: int = 2, size: tuple[int, int] = (6, 6)) -> Network:
    return Network("one", (channels, *size), (Block("body", (layer,)),))


def test_it_is_a_hybrid_sequential_of_gluon_s_own_layers():
    model = built(network("D", width=0.125, input=(3, 32, 32)))
    assert type(model) is nn.HybridSequential
    assert [type(model.block1[i]) for i in range(5)] == [
        nn.Conv2D,
        nn.Activation,
        nn.Conv2D,
        nn.Activation,
        nn.MaxPool2D,
    ]
    assert type(model.head.fc6) is nn.Dense
    assert model.network.name == "vgg16"
    assert "(block1): HybridSequential(\n    (conv1_1): Conv2D(3 -> 8, kernel_size=(3, 3)" in repr(model)


def test_parameters_are_called_after_their_layers():
    assert list(built(THIN).collect_params())[:6] == [
        "conv1_1_weight",
        "conv1_1_bias",
        "bn1_1_gamma",
        "bn1_1_beta",
        "bn1_1_running_mean",
        "bn1_1_running_var",
    ]


@pytest.mark.parametrize("name", KINDS)
def test_saved_parameters_have_the_names_of_the_description_and_load_again(name: str, tmp_path: Path):
    net = narrow(name, CATALOG[name])
    model = built(net)
    model.save_parameters(str(tmp_path / "model.params"))
    theirs = {".gamma": ".weight", ".beta": ".bias"}
    saved = list(mx.nd.load(str(tmp_path / "model.params")))
    for old, new in theirs.items():
        saved = [key.removesuffix(old) + new if key.endswith(old) else key for key in saved]
    assert saved == list(nested.names(net).values())
    other = mxnet_gluon.build(net, {key: array * 0 for key, array in sample_weights(net).items()})
    other.load_parameters(str(tmp_path / "model.params"))
    found = mxnet_gluon.get_weights(other)
    assert all(np.array_equal(found[key], array) for key, array in sample_weights(net).items())


@pytest.mark.filterwarnings("ignore:Cannot decide type:UserWarning")  # so MXNet says of whatever it imports
@pytest.mark.parametrize("name", KINDS)
def test_called_hybridized_and_exported_it_gives_what_run_gives(name: str, tmp_path: Path):
    net = narrow(name, CATALOG[name])
    model, images = built(net), images_for(net)
    last = net.blocks[-1].layers[-1].name
    expected = mxnet_gluon.run(model, images, mode="eval", taps=[last])[last]
    called = model(mx.nd.array(images)).asnumpy()
    model.hybridize(static_alloc=True, static_shape=True)
    hybridized = model(mx.nd.array(images)).asnumpy()
    tapped = mxnet_gluon.run(model, images, mode="eval", taps=[last])[last]
    model.export(str(tmp_path / "model"))
    files = (str(tmp_path / "model-symbol.json"), ["data"], str(tmp_path / "model-0000.params"))
    exported = gluon.SymbolBlock.imports(*files)(mx.nd.array(images)).asnumpy()
    for found in (called, hybridized, tapped, exported):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("compiled", [False, True])
def test_training_follows_the_reference_whether_hybridized_or_not(compiled: bool):
    net = narrow("vgg11_bn", CATALOG["vgg11_bn"])
    model, images = built(net), images_for(net)
    if compiled:
        model.hybridize()
    with autograd.record():
        output = model(mx.nd.array(images))
    output.backward()
    expected = numpy_reference.run(net, sample_weights(net), images, mode="train")
    found = {**mxnet_gluon.get_weights(model), "output": output.asnumpy()}
    for name, array in expected.items():
        assert np.abs(found[name] - array).max() <= 1e-5 * np.abs(array).max(), name


def test_a_gluon_trainer_trains_it():
    net = vgg(((1, 4), (1, 8)), input=(1, 8, 8), classes=2, fc=(8,), batch_norm=True)
    model = built(net)
    trainer = gluon.Trainer(model.collect_params(), "sgd", {"learning_rate": 0.1})
    measure = gluon.loss.SoftmaxCrossEntropyLoss()
    labels = mx.nd.array([0, 1] * 8)
    images = mx.nd.array(images_for(net, 16)) + labels.reshape((16, 1, 1, 1))
    losses = []
    for _ in range(15):
        with autograd.record():
            loss = measure(model(images), labels).mean()
        loss.backward()
        trainer.step(1)
        losses.append(loss.asscalar())
    assert losses[-1] < 0.6 * losses[0]
    assert not np.array_equal(mxnet_gluon.get_weights(model)["conv1_1.weight"], sample_weights(net)["conv1_1.weight"])


def test_dropout_drops_its_share_in_training_only_and_keeps_the_expectation():
    net = one(Dropout("drop", 0.3), size=(100, 100))
    model, ones = mxnet_gluon.build(net, {}), np.ones((4, 2, 100, 100), np.float32)
    assert np.array_equal(mxnet_gluon.run(model, ones, mode="eval", taps=["drop"])["drop"], ones)
    dropped = mxnet_gluon.run(model, ones, mode="train", taps=["drop"])["drop"]
    assert abs((dropped == 0).mean() - 0.3) < 0.01  # 6 standard deviations
    assert abs(dropped.mean() - 1) < 0.015
    assert np.allclose(dropped[dropped > 0], 1 / 0.7)


@pytest.mark.parametrize("size", [(32, 32), (45, 70)])
def test_the_dense_form_takes_images_of_any_size(size: tuple[int, int]):
    net = network("A", width=0.125, fc=(16, 16), classes=5, input=(3, 32, 32))
    arrays = dense_weights(net, sample_weights(net))
    model, images = mxnet_gluon.build(dense(net), arrays), images_for(Network("size", (3, *size), net.blocks[:1]))
    expected = numpy_reference.run(dense(net), arrays, images)["output"]
    assert expected.shape[2:] == (size[0] // 32, size[1] // 32)
    for output in (
        model(mx.nd.array(images)).asnumpy(),
        mxnet_gluon.run(model, images, mode="eval", taps=["fc8"])["fc8"],
    ):
        assert np.abs(output - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("sides", [((0, 0), (0, 0)), ((0, 1), (1, 0)), ((1, 1), (1, 1))])
@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_pools_have_the_spec_s_windows_at_any_size(pooling: str, sides: tuple, rounding: str):
    for kernel, stride in (((2, 2), (3, 2)), ((2, 3), (2, 2)), ((3, 2), (1, 3))):
        net = one(Pool("pool", pooling, kernel, stride, sides, rounding))  # type: ignore[arg-type]
        model = mxnet_gluon.build(net, {})
        model.hybridize()
        for height in range(3, 11):
            images = np.random.default_rng(height).standard_normal((2, 2, height, 13 - height)).astype(np.float32)
            expected = numpy_reference.run(net, {}, images)["output"]
            found = model(mx.nd.array(images)).asnumpy()
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_taps_are_computed_no_further_than_the_deepest():
    model, images = built(THIN), images_for(THIN)
    before = mxnet_gluon.get_weights(model)
    found = mxnet_gluon.run(model, images, mode="train", taps=["relu1_1", "conv1_1", "relu1_1"])
    assert list(found) == ["relu1_1", "conv1_1"]
    after = mxnet_gluon.get_weights(model)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"bn1_1.running_mean", "bn1_1.running_var"}
    assert mxnet_gluon.run(model, images, mode="eval", taps=[]) == {}


def test_an_unknown_tap_is_refused_with_the_layers_that_there_are():
    with pytest.raises(ConfigError, match=r"^vgg has no layer 'conv9'. Its layers: conv1_1, bn1_1") as caught:
        mxnet_gluon.run(built(THIN), images_for(THIN), mode="eval", taps=["conv9"])
    assert caught.value.code == "LAYER-UNKNOWN"


def test_other_models_are_refused():
    for use in (mxnet_gluon.network_of, mxnet_gluon.get_weights, lambda model: mxnet_gluon.set_weights(model, {})):
        with pytest.raises(ConfigError, match="this Dense was not built from a network's description") as caught:
            use(nn.Dense(2))
        assert caught.value.code == "MODEL-FOREIGN"


@pytest.mark.parametrize("name", ["params", "hybridize", "network"])
def test_names_that_gluon_needs_are_refused(name: str):
    for block, layer in ((name, "relu"), ("body", name)):
        with pytest.raises(ConfigError, match=f"MXNet has a use of its own for the name '{name}'") as caught:
            mxnet_gluon.build(Network("net", (1, 4, 4), (Block(block, (ReLU(layer),)),)), {})
        assert caught.value.code == "NAME-RESERVED"


def test_weights_go_in_whole_or_not_at_all():
    model, arrays = built(THIN), sample_weights(THIN)
    wrong = {name: array + 1 for name, array in arrays.items()}
    wrong["fc4.bias"] = np.zeros(7, np.float32)
    with pytest.raises(WeightsError, match=r"fc4\.bias is \(7,\), not \(3,\)"):
        mxnet_gluon.set_weights(model, wrong)
    assert all(np.array_equal(found, arrays[name]) for name, found in mxnet_gluon.get_weights(model).items())


def test_what_it_gives_are_copies():
    model = built(THIN)
    mxnet_gluon.get_weights(model)["conv1_1.weight"][:] = 7
    assert np.array_equal(mxnet_gluon.get_weights(model)["conv1_1.weight"], sample_weights(THIN)["conv1_1.weight"])


def test_a_batch_of_one_number_for_each_channel_leaves_everything_finite():
    net = Network("few", (2, 1, 1), (Block("body", (conv("conv", 2, kernel=1), *THIN.blocks[0].layers[1:2])),))
    model = built(net)
    for mode in ("train", "eval"):
        output = mxnet_gluon.run(model, images_for(net, 1), mode=mode, taps=["bn1_1"])["bn1_1"]
        assert np.isfinite(output).all()
    assert all(np.isfinite(array).all() for array in mxnet_gluon.get_weights(model).values())
